"""The control example: its environment twice, its estimators against closed forms, its meta-gradient, a small run."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import grad

from autometa.adaptation import InnerLoop, Tasks, learner, meta_gradient, outer_loss
from autometa.errors import MissingExtraError

pytest.importorskip("gymnasium", reason="navigation is an environment of Gymnasium: install autometa[control]")

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import cheetah_direction
import navigation
import policy_gradient
from gymnasium.utils.env_checker import check_env
from navigation import PointNavigation, Points, goals
from policy_gradient import Episodes, Update, advantages, copies, new_policy, returns_after, returns_to_go, rollout

T, E, H = 3, 4, 12  # tasks, episodes, steps


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def some_episodes(params, *, tasks=T, seed=0):
    return rollout(Points(episodes=E, horizon=H), copies(params, tasks), goals(tasks, generator(9)), generator(seed))


def in_double(tree):
    return torch.utils._pytree.tree_map(torch.Tensor.double, tree)


def relative_error(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


def test_gymnasium_finds_nothing_wrong_with_the_environment():
    check_env(PointNavigation(), skip_render_check=True)


def test_goals_are_drawn_from_the_square_and_repeat_with_the_seed():
    world = PointNavigation()
    drawn = []
    for seed in [0, 0, 1, 2, 3]:
        world.reset(seed=seed)
        drawn.append(world._goal)
    assert np.array_equal(drawn[0], drawn[1])
    assert len({tuple(goal) for goal in drawn}) == 4
    assert np.abs(drawn).max() <= 0.5


def test_tensors_walk_as_the_environment_does():
    aims = torch.tensor([[0.3, -0.2], [0.1, 0.1], [0.5, 0.5]])
    actions = 2 * torch.randn(H, T, E, 2, generator=generator())
    actions[0, 1, 0] = 1.0  # straight into the second goal
    points = Points(episodes=E, horizon=H)
    seen, ended = [points.reset(aims, generator())], 0
    steps = [points.step(action) for action in actions]
    seen += [observation for observation, _, _ in steps]
    for task in range(T):
        for episode in range(E):
            world = PointNavigation(H)
            first, _ = world.reset(options={"goal": aims[task].numpy()})
            assert np.array_equal(first, seen[0][task, episode])
            for at in range(H):
                observation, reward, over, cut, _ = world.step(actions[at, task, episode].numpy())
                assert np.allclose(observation, seen[at + 1][task, episode], atol=1e-6)
                assert reward == pytest.approx(float(steps[at][1][task, episode]), abs=1e-6)
                assert over == bool(steps[at][2][task, episode])
                assert cut == (at == H - 1)
                ended += over
                if over:
                    break
    assert ended


def test_an_oracle_sees_the_goal():
    seen = Points(episodes=E, horizon=H, sighted=True).reset(goals(T, generator()), generator())
    assert seen.shape == (T, E, 4)
    assert torch.equal(seen[:, 0, 2:], goals(T, generator()))


def test_nothing_counts_after_the_end():
    met = rollout(
        Points(episodes=50, horizon=H),
        copies(new_policy(2, 2, deviation=0.06), 1),
        torch.tensor([[0.005, 0.0]]),
        generator(),
    )
    ends = met.alive.sum(dim=-1)
    assert ends.min() < H
    for episode in range(50):
        last = int(ends[0, episode])
        assert not met.rewards[0, episode, last:].any()
        assert not met.advantages[0, episode, last:].any()
        assert met.alive[0, episode, :last].all()


def test_returns_to_go_are_a_loop_backwards():
    rewards = torch.randn(E, H, generator=generator())
    for episode in range(E):
        for start in range(H):
            wanted = sum(0.9 ** (at - start) * float(rewards[episode, at]) for at in range(start, H))
            assert float(returns_to_go(rewards, 0.9)[episode, start]) == pytest.approx(wanted, abs=1e-5)


def test_advantages_are_what_a_ridge_regression_on_the_living_steps_leaves():
    observations = torch.randn(T, E, H, 2, generator=generator())
    alive = (torch.arange(H) < torch.randint(4, H + 1, (T, E, 1), generator=generator())).float()
    rewards = torch.randn(T, E, H, generator=generator()) * alive
    found = advantages(observations, rewards, alive, 0.8)
    for task in range(T):
        rows, wanted, places = [], [], []
        for episode in range(E):
            for at in range(int(alive[task, episode].sum())):
                x, time = observations[task, episode, at].tolist(), at / (H - 1)
                rows.append([*x, *(one**2 for one in x), time, time**2, time**3, 1.0])
                later = rewards[task, episode, at:].tolist()
                wanted.append(sum(0.8**n * reward for n, reward in enumerate(later)))
                places.append((episode, at))
        f, r = np.array(rows), np.array(wanted)
        left = r - f @ np.linalg.solve(f.T @ f + policy_gradient.RIDGE * np.eye(f.shape[1]), f.T @ r)
        assert np.allclose([float(found[task, *place]) for place in places], left, atol=1e-4)
        assert not found[task][alive[task] == 0].any()


def test_the_inner_gradient_is_the_closed_form_of_a_linear_gaussian(monkeypatch):
    def linear(params, observations):
        return observations @ params["weight"], params["log_deviation"].exp()

    monkeypatch.setattr(policy_gradient, "gaussian", linear)
    params = in_double({"weight": torch.randn(3, 2, generator=generator()), "log_deviation": torch.tensor([-0.3, 0.2])})
    x, noise, worth = in_double([torch.randn(E, H, n, generator=generator(n)) for n in (3, 2, 1)])
    deviation = params["log_deviation"].exp()
    actions = x @ params["weight"] + deviation * noise
    # Of log N(a; m, s): (a - m) / s^2 to the mean, ((a - m) / s)^2 - 1 to log s.
    log_probs = (-0.5 * noise**2 - params["log_deviation"] - 0.5 * math.log(2 * math.pi)).sum(dim=-1)
    alive = torch.ones(E, H, dtype=torch.float64)
    met = Episodes(x, actions, log_probs, alive, alive, worth[..., 0])
    found = grad(policy_gradient.surrogate)(params, met)
    weight = -torch.einsum("eho,eha,eh->oa", x, noise / deviation, worth[..., 0]) / (E * H)
    spread = -((noise**2 - 1) * worth).sum(dim=(0, 1)) / (E * H)
    assert relative_error(found["weight"], weight) < 1e-12
    assert relative_error(found["log_deviation"], spread) < 1e-12


def test_the_ratio_is_one_where_the_actions_were_sampled():
    params = new_policy(2, 2)
    met = some_episodes(params)
    one = Episodes(*(part[0] for part in met))
    wanted = -(one.advantages * one.alive).sum() / one.alive.sum()
    assert float(policy_gradient.surrogate(params, one)) == pytest.approx(float(wanted), rel=1e-4)


@pytest.mark.parametrize(
    "inner",
    [InnerLoop(rate=0.1), InnerLoop(rate=0.1, rates="per parameter"), InnerLoop(steps=0)],
    ids=["maml", "meta-sgd", "pretraining"],
)
def test_the_meta_gradient_on_fixed_episodes_is_finite_differences(inner):
    start = new_policy(2, 2, hidden=3)
    met = in_double(Tasks(some_episodes(start, seed=1), some_episodes(start, seed=2)))
    begin = learner(in_double(start), inner)
    _, found = meta_gradient(policy_gradient.surrogate, inner, begin, met)

    def value(params, rule):
        tasks = [torch.utils._pytree.tree_map(lambda x, at=t: x[at], met) for t in range(T)]
        changed = begin._replace(params=params, rule=rule)
        return torch.stack(
            [outer_loss(policy_gradient.surrogate, inner, changed, Tasks(*task)) for task in tasks]
        ).mean()

    way = in_double(tuple({n: torch.randn(p.shape, generator=generator(3)) for n, p in part.items()} for part in begin))
    ends = []
    for width in (1e-5, -1e-5):
        moved = [{n: p + width * w[n] for n, p in part.items()} for part, w in zip(begin, way, strict=True)]
        ends.append(value(*moved))
    slope = sum(float((g[n] * w[n]).sum()) for g, w in zip(found, way, strict=True) for n in g)
    assert slope == pytest.approx(float(ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_the_gradient_function_samples_after_the_update_what_the_outer_loss_judges(monkeypatch):
    inner, start = InnerLoop(rate=0.5), new_policy(2, 2)
    seen = []
    monkeypatch.setattr(policy_gradient, "meta_gradient", lambda *given: seen.append(given) or meta_gradient(*given))
    tasks = Tasks(goals(T, generator()), torch.arange(T))
    value, _ = policy_gradient.policy_meta_gradient(Points(episodes=E, horizon=H), inner, learner(start, inner), tasks)
    before, after = seen[0][3]
    adapted = policy_gradient.update(copies(start, T), before, inner, {})
    for task in range(T):
        mine = {name: p[task] for name, p in adapted.items()}
        mean, deviation = policy_gradient.gaussian(mine, after.observations[task].flatten(0, 1))
        found = policy_gradient.log_prob(mean, deviation, after.actions[task].flatten(0, 1))
        assert torch.allclose(found, after.log_probs[task].flatten(), atol=1e-4)
    assert float(value) == pytest.approx(-float(after.rewards.sum(dim=-1).mean()), rel=1e-5)


def test_later_updates_take_their_share_and_the_first_is_whole():
    start, aims = learner(new_policy(2, 2), InnerLoop()), goals(T, generator())
    whole, none = (
        returns_after(Points(episodes=E, horizon=H), Update(InnerLoop(rate=0.5), later), start, aims, updates=2, seed=0)
        for later in (1.0, 0.0)
    )
    assert whole.shape == (T, 3)
    assert torch.equal(whole[:, :2], none[:, :2])
    assert not torch.equal(whole[:, 2], none[:, 2])


def test_a_small_run_trains_resumes_and_reports(tmp_path, monkeypatch, capsys):
    small = {"CHOICES": {"pretraining": navigation.FALLING[:2]}, "TASKS": T, "SHOWN": 2}
    some = {name: getattr(navigation, name)[:3] for name in ("VALIDATION", "HELD_OUT")}
    for name, value in (small | some).items():
        monkeypatch.setattr(navigation, name, value)
    asked = ["--out", str(tmp_path), "--seeds", "1", "--steps", "2", "--algorithms", "MAML", "pretraining", "oracle"]
    navigation.main(asked)
    first = (tmp_path / "navigation.md").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {
        *(f"{name}-0.safetensors" for name in ("MAML", "pretraining", "oracle")),
        *(f"navigation.{ending}" for ending in ("md", "csv", "png")),
    }
    assert "step 2 of 2" in capsys.readouterr().out
    navigation.main(asked)
    assert "step" not in capsys.readouterr().out.split("|")[0]
    assert (tmp_path / "navigation.md").read_text() == first


def test_without_mujoco_the_cheetah_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(MissingExtraError, match=r"mujoco is missing; install autometa\[control\]"):
        cheetah_direction.Cheetahs()


def test_cheetahs_are_paid_for_speed_in_their_direction(monkeypatch, tmp_path):
    for name in ("mujoco", "imageio"):
        pytest.importorskip(name, reason="the cheetah is simulated by MuJoCo: install autometa[control]")
    monkeypatch.chdir(tmp_path)  # where MuJoCo would write its warnings
    world = cheetah_direction.Cheetahs(episodes=2, horizon=3)
    rewards = []
    for directions in (cheetah_direction.DIRECTIONS, -cheetah_direction.DIRECTIONS):
        assert world.reset(directions, generator()).shape == (2, 2, 17)
        observations, paid, over = world.step(torch.full((2, 2, 6), 2.0))
        assert observations.shape == (2, 2, 17)
        assert not over.any()
        rewards.append(paid)
    # The same bodies the other way: speeds cancel, and the effort is that of actions clipped to 1.
    assert torch.allclose(rewards[0] + rewards[1], torch.tensor(-2 * 0.1 * 6), atol=1e-5)
    assert not list(tmp_path.iterdir())
