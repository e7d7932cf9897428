"""Settings of all tests of the models."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Two cores are shared by the whole suite; small networks gain nothing from a second one."""
    torch.set_num_threads(1)
