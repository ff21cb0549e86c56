"""What a run takes of the machine: MLflow's own monitors of processors, memory, disk, network and GPUs, each ten
seconds, told by way of the outbox."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

if TYPE_CHECKING:
    from pipeline.tracking import Run


class SystemMetrics(SystemMetricsMonitor):
    """Watches until its block ends. A run of less than ten seconds has none.

    Args:
        run: that is told.
        started: when it began, in milliseconds; the steps are seconds since then, so that they go on when the run does.
    """

    def __init__(self, run: "Run", started: int):
        super().__init__(run.run_id)
        self._run, self._started = run, started

    def monitor(self) -> None:
        """MLflow's own asks the server after each sample whether the run is still there."""
        # A run is not the worse for a machine that tells nothing.
        with suppress(Exception):
            self._watch()

    def _watch(self) -> None:
        # What processors do is measured from the call before.
        self.collect_metrics()
        self.aggregate_metrics()
        for monitor in self.monitors:
            monitor.clear_metrics()
        while not self._shutdown_event.wait(self.sampling_interval):
            self.collect_metrics()
            self.publish_metrics(self.aggregate_metrics())

    def publish_metrics(self, metrics: dict[str, float]) -> None:
        prefix = f"system/{self.node_id}/" if self.node_id else "system/"
        told = {prefix + name: value for name, value in metrics.items()}
        self._run.metrics(told, step=int(time.time() - self._started / 1000))
        for monitor in self.monitors:
            monitor.clear_metrics()

    def __enter__(self) -> "SystemMetrics":
        self.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._shutdown_event.set()
        if self._process:
            self._process.join()
