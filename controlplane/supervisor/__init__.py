"""Starts Spark-Ops on one machine: embedded servers, our processes, restarts and a clean stop."""
