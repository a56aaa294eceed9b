"""The native runtime: a Llama on CPUs through Paddock's own C++ library; no torch."""
