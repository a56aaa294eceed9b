"""vLLM as what computes, behind this house's own front: started and watched, never imported."""
