from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from analysis.verification.energy import energy_meter, energy_mwh

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def package(root: Path, name: str, *, now: int, end: int = 1_000_000) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "energy_uj").write_text(f"{now}\n", encoding="ascii")
    (folder / "max_energy_range_uj").write_text(f"{end}\n", encoding="ascii")
    return folder / "energy_uj"


def test_a_processor_without_counters_has_no_meter(tmp_path: Path) -> None:
    assert energy_meter(CPU, powercap=tmp_path / "none") is None


def test_packages_are_added_up_and_their_parts_are_not(tmp_path: Path) -> None:
    first, second = package(tmp_path, "intel-rapl:0", now=5_000), package(tmp_path, "intel-rapl:1", now=7_000)
    package(tmp_path, "intel-rapl:0:0", now=1_000).write_text("999999", encoding="ascii")
    meter = energy_meter(CPU, powercap=tmp_path)
    assert meter is not None
    first.write_text("6000", encoding="ascii")
    second.write_text("9000", encoding="ascii")
    assert meter() == pytest.approx(3.0)


def test_a_counter_that_starts_over_goes_on(tmp_path: Path) -> None:
    counter = package(tmp_path, "intel-rapl:0", now=999_000)
    meter = energy_meter(CPU, powercap=tmp_path)
    assert meter is not None
    counter.write_text("4000", encoding="ascii")
    assert meter() == pytest.approx(5.0)
    counter.write_text("5000", encoding="ascii")
    assert meter() == pytest.approx(6.0)


def test_a_counter_that_may_not_be_read_is_none(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", now=1).write_text("not a number", encoding="ascii")
    assert energy_meter(CPU, powercap=tmp_path) is None


def test_short_work_is_repeated_and_shared_out() -> None:
    joules, seconds = iter([0.0, 7200.0]), iter([0.0, 0.4, 0.8, 1.2])
    runs: list[int] = []
    assert energy_mwh(lambda: runs.append(1), lambda: next(joules), clock=lambda: next(seconds)) == pytest.approx(2.0 / 3)
    assert len(runs) == 3


def nvml(**functions: object) -> ModuleType:
    module = ModuleType("pynvml")
    vars(module).update({"NVMLError": type("NVMLError", (Exception,), {}), "nvmlInit": lambda: None} | functions)
    return module


def test_a_gpu_is_found_by_its_own_id(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    reading = {"nvmlDeviceGetHandleByUUID": lambda uuid: asked.append(uuid) or "card", "nvmlDeviceGetTotalEnergyConsumption": lambda _: 42}
    monkeypatch.setitem(sys.modules, "pynvml", nvml(**reading))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="1234-abcd"))
    meter = energy_meter(GPU)
    assert meter is not None
    assert meter() == 42.0
    assert asked == ["GPU-1234-abcd"]


def test_a_gpu_that_does_not_tell_and_a_library_that_is_not_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="1234-abcd"))
    silent = nvml()

    def refuse(_: object) -> int:
        raise vars(silent)["NVMLError"]

    vars(silent).update(nvmlDeviceGetHandleByUUID=lambda _: "card", nvmlDeviceGetTotalEnergyConsumption=refuse)
    monkeypatch.setitem(sys.modules, "pynvml", silent)
    assert energy_meter(GPU) is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert energy_meter(GPU) is None


def test_other_devices_do_not_tell() -> None:
    assert energy_meter(torch.device("meta")) is None
