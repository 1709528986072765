"""MetaSampler passes Optuna's own conformance cases for samplers.

Left out is SingleOnlySamplerTestCase: it holds samplers to refusing several objectives, and MetaSampler takes them.
"""

import pytest
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase, RelativeSamplerTestCase

from autometa import MetaSampler


class TestMetaSampler(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self):
        return lambda: MetaSampler(seed=0)
