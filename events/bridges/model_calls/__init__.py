"""The core of the bridges to model libraries: one call told once, whichever of them see it.

- `claims`: which of several bridges tells a call
- `model_call`: a call while it is under way, its attempts and its end
- `openai_chat_answer`, `openai_response_answer`: an answer of Chat Completions or of Responses, as it comes
- `document_retrieval`, `guardrail_check`: a lookup of documents and the check of a guardrail, each told once too
- `tool_use`: the use of a tool while it is under way, told once by one of several bridges
- `event_scope`: the scope that the events of these three are of
- `token_usage`: the tokens that a provider counted
- `cost`: what they cost, by the seller or by a price function
- `token_prices`: a price function, by the list of genai-prices
- `cost_by_rates`: what it says of most calls, computed here
- `error_types`: the class of an error as one of the words of `events.bus.fields.ErrorType`
- `finish_reasons`: why an answer ends, in the words of `events.llm.FinishReason`
- `response_headers`: rate limits, and how long to wait
- `reader_pauses`: which time of a stream is its reader's
- `token_times`: when the tokens of a stream were seen to come
- `frozen`: makes the dataclasses of a call
- `names`: a model's or provider's name, and which provider a URL is of

No library of models is imported here.
"""
