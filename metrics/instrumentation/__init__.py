"""One call that sets up an application of Starlette or FastAPI, by parts that can be used by hand as well.

- `instrument_application`: the entry point, `instrument`, and the handle that undoes it
- `application_middleware`: the middleware, which follows the application's life too
- `starlette_application`: what every application of Starlette has, which is all that is asked of one
- `bridged_objects`: engines and clients of models, by what each of them is
- `shared_handles`: those that several applications of a process have in common
- `process_figures`: ``process_*``, ``python_gc_*`` and ``python_info``
"""
