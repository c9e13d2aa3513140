"""Do the work of a Spark-Ops agent in a process of your own."""

from sparkops_worker.protocol import Api, ApiError, Registration
from sparkops_worker.tasks import Answer, Task, TaskFailed
from sparkops_worker.worker import Worker

__all__ = ["Answer", "Api", "ApiError", "Registration", "Task", "TaskFailed", "Worker"]
