"""The end-to-end comparison: its split, its scores, its keys, what it measures and how it sums up."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from benchmarks import end_to_end
from benchmarks.end_to_end import Row, append, done, names_of
from benchmarks.measure import watch
from benchmarks.report import report, write_between
from benchmarks.scoring import constant_score, score, split
from benchmarks.summary import bootstrap, contrast, mean_ranks, prepare


def made_row(system, table, value, *, metric="rmse", family=None, failed=0, seed=0, version="1", time_limit=60.0):
    return Row(
        system=system,
        version=version,
        table=table,
        family=family or table,
        split=seed,
        time_limit=time_limit,
        metric=metric,
        score=None if failed else value,
        constant_score=0.5 if metric == "auc" else 10.0,
        failed=failed,
        reason="not finished" if failed else "",
        wall_s=61.0,
        fit_s=60.0,
        predict_s=1.0,
        cpu_s=100.0,
        peak_mb=500.0,
        disk_mb=3.0,
        date="2026-01-01",
    )


def read_back(rows, folder):
    out = folder / "rows.csv"
    for row in rows:
        append(out, row)
    return pd.read_csv(out, dtype={"version": str})


class TestSplit:
    table = pd.DataFrame({"x": range(200), "target": ["rare"] * 20 + ["common"] * 180})

    def test_same_seed_gives_same_rows_and_another_seed_others(self):
        first, again, other = (split(self.table, task="binary", seed=seed)[1]["x"].tolist() for seed in (0, 0, 1))
        assert first == again
        assert first != other

    def test_parts_are_70_to_30_stratified_and_disjoint(self):
        train, test = split(self.table, task="binary", seed=0)
        assert (len(train), len(test)) == (140, 60)
        assert (test["target"] == "rare").sum() == 6
        assert set(train["x"]) | set(test["x"]) == set(range(200))

    def test_regression_targets_need_no_stratification(self):
        train, test = split(self.table.assign(target=np.arange(200.0)), task="regression", seed=3)
        assert (len(train), len(test)) == (140, 60)


class TestScore:
    rng = np.random.default_rng(0)

    def test_auc_agrees_with_scikit_learn_ties_included(self):
        truth = self.rng.integers(0, 2, 300)
        values = self.rng.integers(0, 10, 300) / 10
        found = pd.DataFrame({"proba_no": 1 - values, "proba_yes": values})
        target = pd.Series(np.where(truth, "yes", "no"))
        assert score(target, found, "auc") == pytest.approx(roc_auc_score(truth, values))

    def test_log_loss_agrees_with_scikit_learn_whatever_the_order_of_columns(self):
        values = self.rng.dirichlet(np.ones(3), 100)
        target = pd.Series(self.rng.choice(list("abc"), 100))
        found = pd.DataFrame(values, columns=["proba_a", "proba_b", "proba_c"])[["proba_c", "proba_a", "proba_b"]]
        assert score(target, found, "log_loss") == pytest.approx(log_loss(target, values))

    def test_a_class_without_a_column_has_probability_zero(self):
        target = pd.Series(["a", "b", "c"])
        found = pd.DataFrame({"proba_a": [0.5, 0.5, 0.5], "proba_b": [0.5, 0.5, 0.5]})
        assert score(target, found, "log_loss") > 10

    def test_rmse(self):
        assert score(pd.Series([1.0, 2.0]), pd.DataFrame({"prediction": [1.0, 4.0]}), "rmse") == pytest.approx(2**0.5)

    @pytest.mark.parametrize(
        ("found", "message"),
        [
            ({"prediction": [1.0]}, "one prediction per test row"),
            ({"prediction": [1.0, np.inf]}, "finite"),
        ],
    )
    def test_unusable_predictions_are_refused(self, found, message):
        with pytest.raises(ValueError, match=message):
            score(pd.Series([1.0, 2.0]), pd.DataFrame(found), "rmse")

    def test_columns_must_name_the_classes(self):
        with pytest.raises(ValueError, match="proba_CLASS"):
            score(pd.Series(["a", "b"]), pd.DataFrame({"proba_1": [0.1, 0.2], "proba_2": [0.9, 0.8]}), "auc")

    def test_constant_prediction(self):
        train, test = pd.Series(["a"] * 3 + ["b"]), pd.Series(["a", "b"])
        assert constant_score(train, test, "auc") == 0.5
        assert constant_score(train, test, "log_loss") == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)
        assert constant_score(pd.Series([0.0, 2.0]), pd.Series([3.0]), "rmse") == 2.0


class TestResume:
    def test_keys_of_rows_are_read_back_failures_included(self, tmp_path):
        out = tmp_path / "new" / "rows.csv"
        assert done(out) == set()
        append(out, made_row("plain", "cars", 1.0))
        append(out, made_row("catboost", "cars", 1.0, failed=1, version="1.2.10", seed=2, time_limit=20.0))
        assert done(out) == {("plain", "1", "cars", 0, 60.0), ("catboost", "1.2.10", "cars", 2, 20.0)}
        assert out.read_text().count("system,version") == 1

    def test_only_missing_rows_are_run_and_a_new_version_is_missing(self, tmp_path, monkeypatch):
        ran = []

        def stub(name, version, python, table, options, seed):
            ran.append((name, version, table, seed))
            return made_row(name, table, 1.0, version=version, seed=seed)

        monkeypatch.setattr(end_to_end, "run_row", stub)
        monkeypatch.setattr(end_to_end.time, "sleep", lambda seconds: None)
        given = ["--systems", "plain", "--data", str(tmp_path), "--out", str(tmp_path / "rows.csv")]
        given += ["--lock", str(tmp_path / "lock")]
        end_to_end.main([*given, "--tables", "a,b"])
        end_to_end.main([*given, "--tables", "a,b,c", "--splits", "0,1"])
        version = end_to_end.PLAIN_VERSION
        assert [(table, seed) for _, _, table, seed in ran] == [
            ("a", 0), ("b", 0), ("a", 1), ("b", 1), ("c", 0), ("c", 1),
        ]  # fmt: skip
        end_to_end.main([*given, "--tables", "a", "--version", f"plain={version}-next"])
        assert ran[-1] == ("plain", f"{version}-next", "a", 0)

    def test_lists_may_be_thinned(self, tmp_path):
        (tmp_path / "tabular").mkdir()
        (tmp_path / "tabular" / "bench.txt").write_text("a\nb\nc\nd\ne\n")
        assert names_of("bench", tmp_path) == list("abcde")
        assert names_of("bench:2", tmp_path) == ["a", "c", "e"]
        assert names_of("x,y", tmp_path) == ["x", "y"]

    def test_a_row_is_run_scored_and_measured(self, tmp_path):
        folder = tmp_path / "tabular"
        folder.mkdir()
        rng = np.random.default_rng(0)
        x = rng.normal(size=120)
        pd.DataFrame({"x": x, "target": np.where(x > 0, "yes", "no")}).to_parquet(folder / "toy.parquet")
        (folder / "index.csv").write_text("name,task,family\ntoy,binary,toys\n")
        options = end_to_end.parse(["--data", str(tmp_path), "--time", "5"])
        row = end_to_end.run_row("lightgbm", "1", sys.executable, "toy", options, 0)
        assert (row.failed, row.reason, row.family) == (0, "", "toys")
        assert row.score == pytest.approx(1.0, abs=0.05)
        assert 0 < row.fit_s <= row.wall_s
        assert row.peak_mb > 50


class TestMeasure:
    def test_children_are_counted_and_killed_at_the_limit(self, tmp_path):
        child = "x = bytearray(50_000_000)\nwhile True: pass"
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
        usage = watch([sys.executable, "-c", code], env={}, folder=tmp_path, log=tmp_path / "log", limit=1.0, cores=1)
        assert usage.code is None
        assert 1.0 <= usage.wall_s < 3.0
        assert usage.cpu_s > 0.2
        assert usage.peak_mb > 50

    def test_the_exit_status_and_the_last_words_are_kept(self, tmp_path):
        usage = watch(
            [sys.executable, "-c", "raise SystemExit('no')"],
            env={}, folder=tmp_path, log=tmp_path / "log", limit=10.0, cores=1,
        )  # fmt: skip
        assert usage.code == 1
        assert (tmp_path / "log").read_text() == "no\n"


class TestSummary:
    def test_gain_and_wins_by_hand(self, tmp_path):
        rows = prepare(
            read_back(
                [
                    made_row("ours", "a", 1.0), made_row("peer", "a", 2.0),
                    made_row("ours", "b", 0.9, metric="auc"), made_row("peer", "b", 0.95, metric="auc"),
                    made_row("ours", "c", 3.0), made_row("peer", "c", 3.0),
                    made_row("ours", "d", 5.0), made_row("peer", "d", 0.0, failed=1),
                    made_row("ours", "alone", 5.0),
                ],
                tmp_path,
            ),
            time_limit=60.0,
        )  # fmt: skip
        found = contrast(rows, ours="ours", peer="peer")
        assert found.tables == 4
        assert found.win_rate == pytest.approx((1 + 0 + 0.5 + 1) / 4)
        assert found.gain == pytest.approx((0.5 - 0.5 + 0 + 0.5) / 4)
        back = contrast(rows, ours="peer", peer="ours")
        assert back.gain == pytest.approx(-found.gain)
        assert back.win_rate == pytest.approx(1 - found.win_rate)

    def test_a_failure_loses_even_against_worse_than_constant(self, tmp_path):
        rows = prepare(
            read_back([made_row("ours", "a", 11.0), made_row("peer", "a", 0.0, failed=1)], tmp_path), time_limit=60.0
        )
        assert contrast(rows, ours="ours", peer="peer").win_rate == 1.0

    def test_splits_of_a_table_are_averaged_before_tables(self, tmp_path):
        made = [made_row("ours", "a", 1.0, seed=seed) for seed in range(3)] + [made_row("ours", "b", 2.0)]
        made += [made_row("peer", "a", 2.0, seed=seed) for seed in range(3)] + [made_row("peer", "b", 1.0)]
        found = contrast(prepare(read_back(made, tmp_path), time_limit=60.0), ours="ours", peer="peer")
        assert (found.win_rate, found.gain) == (0.5, 0.0)

    def test_the_last_version_counts_and_other_times_do_not(self, tmp_path):
        made = [made_row("ours", "a", 9.0), made_row("ours", "a", 1.0, version="2")]
        made += [made_row("ours", "a", 7.0, version="2", time_limit=20.0)]
        rows = prepare(read_back(made, tmp_path), time_limit=60.0)
        assert rows["score"].tolist() == [1.0]

    def test_rows_of_earlier_versions_count_where_that_is_asked_for_and_no_later_ones_are(self, tmp_path):
        made = [made_row("ours", "a", 9.0), made_row("ours", "b", 5.0), made_row("ours", "a", 1.0, version="2")]
        rows = prepare(read_back(made, tmp_path), time_limit=60.0, all_versions=True)
        assert dict(zip(rows["table"], rows["score"], strict=True)) == {"a": 1.0, "b": 5.0}

    def test_bootstrap_draws_families_and_agrees_with_the_normal_interval(self):
        values = np.random.default_rng(1).normal(0.1, 1.0, 200)
        names = [f"t{i}" for i in range(200)]
        alone = pd.Series(values, index=pd.MultiIndex.from_arrays([names, names], names=["family", "table"]))
        low, high = bootstrap(alone, seed=0)
        half = 1.96 * values.std() / 200**0.5
        assert low == pytest.approx(values.mean() - half, abs=0.03)
        assert high == pytest.approx(values.mean() + half, abs=0.03)
        one = pd.Series(values, index=pd.MultiIndex.from_arrays([["f"] * 200, names], names=["family", "table"]))
        assert bootstrap(one, seed=0) == pytest.approx((values.mean(), values.mean()))

    def test_ranks_are_over_the_tables_all_have(self, tmp_path):
        made = [made_row("x", "a", 1.0), made_row("y", "a", 2.0), made_row("z", "a", 0.0, failed=1)]
        made += [made_row("x", "b", 2.0), made_row("y", "b", 2.0)]
        rows = prepare(read_back(made, tmp_path), time_limit=60.0)
        ranks, tables = mean_ranks(rows, ["x", "y", "z"])
        assert (ranks.to_dict(), tables) == ({"x": 1.0, "y": 2.0, "z": 3.0}, 1)
        ranks, tables = mean_ranks(rows, ["x", "y"])
        assert (ranks.to_dict(), tables) == ({"x": 1.25, "y": 1.75}, 2)


class TestReport:
    def test_scores_failures_and_contrasts_are_in_it(self, tmp_path):
        made = [made_row("ours", "a", 1.25), made_row("peer", "a", 2.5)]
        made += [made_row("ours", "b", 1.0), made_row("peer", "b", 1.0, failed=1)]
        text = report(read_back(made, tmp_path), ours="ours", time_limit=60.0)
        assert "| a | rmse | **1.25** | 2.5 |" in text
        assert "| b | rmse | **1** | failed |" in text
        assert "- peer failed on b: not finished" in text
        assert "| 100% | +0.700 [+0.500, +0.900] | 1 |" in text

    def test_only_the_text_between_the_markers_changes(self, tmp_path):
        page = tmp_path / "docs" / "page.md"
        write_between(page, "one", "first\n")
        page.write_text(page.read_text() + "\nby hand\n")
        write_between(page, "two", "other\n")
        write_between(page, "one", "second\n")
        text = page.read_text()
        assert text.startswith("# Benchmarks\n")
        assert "first" not in text
        assert [text.index(word) for word in ("second", "by hand", "other")] == sorted(
            text.index(word) for word in ("second", "by hand", "other")
        )
