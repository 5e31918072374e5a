"""How events travel: signals and spans emit them, receivers are called with them, scopes pass fields and totals on.

- `signal`: a kind of event, which is emitted and connected to; `emitters`: emitters with most fields fixed beforehand.
- `span`: a pair of a started and a finished event; `span_decorator`: functions whose every call is a span.
- `scope`: the scope that the running code is in; `thread_propagation`: how it gets into threads and executors.
- `fields`: the types of fields, which say what a listener may do with them; `amount_limits`: which can be added up.
- `closed_values`: the values that fields with a closed set may have, which `strict` checks.
- `receiver_inspection`: what is called, and how; `background`: receivers with a thread of their own.
- `failures`, `log_throttle`: what becomes of a receiver that raises.
- `event_construction`: builds immutable events fast.
- `field_views`: what stands for an event where its fields alone are read.
- `prepared_receivers`: receivers that were prepared for the names of the fields that are set.
"""
