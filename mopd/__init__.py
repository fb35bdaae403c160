"""The method: multi-rollout on-policy distillation, free of any scheduler, database or serving engine.

Walk it along the data, one module an arrow:
tasks -> generate -> verify -> condition -> score -> train -> evaluate.
"""
