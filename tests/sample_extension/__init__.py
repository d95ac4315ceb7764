"""An extension as tests need one: a sampler, a field, a list of records, a guidance hook and a tab."""
