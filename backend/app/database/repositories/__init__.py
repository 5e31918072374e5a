"""The repositories: functions that read and write rows, one module a resource."""
