"""The operators' kit: what Prometheus, Alertmanager, Kubernetes and Grafana load, written from the catalogue.

``python -m metrics build`` writes it. Its tables (`objectives`, `recording_rules`, the modules of alerts and of panels)
name metrics as ``NS_workflows_total``, recorded series as ``NS:slo_burn:rate1h`` and the scrape job as ``JOB``;
`placeholders` puts the application's namespace and job there. What names a family that a catalogue does not have is
left out, so that an application with some of the groups gets the kit of these.

PyYAML, promql-parser and grafana-foundation-sdk are needed, which the extra ``kit`` installs.
"""
