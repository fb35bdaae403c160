"""What worker processes need and take seconds to import: imported once, in the process that they are forked from.

Nothing here may touch a device or start threads.
"""

import signal

from flows.runtime.importing import importing

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run's own process, which ends this one

with importing():
    import transformers.utils

    transformers.utils.is_sklearn_available = lambda: False  # for assisted decoding, and pandas and scipy come along

    import transformers.models.llama.modeling_llama
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import flows.execute.jobs.training
    import mopd.condition
    import mopd.generate
    import mopd.score
    import mopd.train
    import mopd.verify

__all__ = ["AutoModelForCausalLM", "AutoTokenizer", "flows", "mopd", "transformers"]
