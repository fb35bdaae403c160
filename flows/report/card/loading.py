"""How a policy is loaded, as code that works: sampled as its held-out replies were."""

from __future__ import annotations

import json
from typing import Any, Literal

from flows.report.card.markdown import code, code_block
from flows.report.card.source import CardSource
from mopd.models.folders import ADAPTER
from mopd.settings import GenerateSettings
from mopd.settings.sampling import SHAPING, shaping

QUESTION = '[{"role": "user", "content": "What is 7 + 8?"}]'
ALWAYS_SAID = {"vllm": ("top_p", "top_k"), "transformers": ("top_p", "top_k", "min_p", "repetition_penalty")}
"""Settings of sampling for which the library, or the model's folder, may have others where none are given."""
VLLM = """\
from vllm import LLM, SamplingParams

if __name__ == "__main__":
    model = LLM({name})
    sampling = SamplingParams({sampling})
    (reply,) = model.chat({question}, sampling)
    print(reply.outputs[0].text)"""
TRANSFORMERS = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

name = {name}
tokenizer = AutoTokenizer.from_pretrained(name)
model = AutoModelForCausalLM.from_pretrained(name)
{ends}question = {question}
inputs = tokenizer.apply_chat_template(
    question, add_generation_prompt=True, return_dict=True, return_tensors="pt"
)
outputs = model.generate(
    **inputs, {sampling}
)
reply = outputs[0, inputs["input_ids"].shape[1] :]
print(tokenizer.decode(reply, skip_special_tokens=True))"""
ENDS = """\
end = model.generation_config.eos_token_id
ends = [*(end if isinstance(end, list) else [end]), {further}]
"""
PEFT = """\
from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained({base})
model = PeftModel.from_pretrained(base, {name}, subfolder={adapter})"""


def loading_text(source: CardSource) -> str:
    """Both ways to load the weights, whole."""
    here = [] if "/" in source.name else [f"{code(source.name)} is the folder that this file lies in."]
    lacking = ", which has no presence penalty" if source.evaluated_by.evaluation_sampling.presence_penalty else ""
    by_vllm, by_transformers = vllm_code(source), transformers_code(source)
    return "\n\n".join([*here, "With vLLM:", by_vllm, f"With transformers{lacking}:", by_transformers])


def vllm_code(source: CardSource) -> str:
    """A block of Python."""
    sampling = source.evaluated_by.evaluation_sampling
    arguments = {"temperature": sampling.temperature, **_shaping(sampling, "vllm"), "max_tokens": sampling.max_tokens}
    arguments |= {name: list(ends) for name in ("stop", "stop_token_ids") if (ends := getattr(sampling, name))}
    text = VLLM.format(name=_quoted(source.name), sampling=_keywords(arguments), question=QUESTION)
    return code_block("python", text)


def transformers_code(source: CardSource) -> str:
    """A block of Python. A presence penalty is vLLM's alone."""
    sampling = source.evaluated_by.evaluation_sampling
    arguments = {"do_sample": True, "temperature": sampling.temperature, **_shaping(sampling, "transformers")}
    if not sampling.temperature:  # greedy: what only cuts the distribution changes nothing, and is warned of
        arguments = {"do_sample": False, "repetition_penalty": sampling.repetition_penalty}
    keywords = _keywords({**arguments, "max_new_tokens": sampling.max_tokens})
    if sampling.stop:
        keywords += f", stop_strings={list(sampling.stop)!r}, tokenizer=tokenizer"
    if sampling.stop_token_ids:
        keywords += ", eos_token_id=ends"
    ends = ENDS.format(further=", ".join(map(str, sampling.stop_token_ids))) if sampling.stop_token_ids else ""
    text = TRANSFORMERS.format(name=_quoted(source.name), ends=ends, sampling=keywords, question=QUESTION)
    return code_block("python", text)


def peft_code(source: CardSource) -> str:
    """A block of Python that puts the adapter on its base."""
    base = _quoted(source.base.loaded_by or "path/to/the/base/model")
    if source.base.revision:
        base += f", revision={_quoted(source.base.revision)}"
    return code_block("python", PEFT.format(base=base, name=_quoted(source.name), adapter=_quoted(ADAPTER)))


def _shaping(sampling: GenerateSettings, library: Literal["vllm", "transformers"]) -> dict[str, Any]:
    """What makes another distribution of the model's own, where it isn't at its default."""
    known = [name for name in SHAPING if library == "vllm" or name != "presence_penalty"]
    names = [name for name in known if name in ALWAYS_SAID[library] or name in shaping(sampling)]
    return {name: getattr(sampling, name) for name in names}


def _keywords(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def _quoted(text: str) -> str:
    """A literal of Python."""
    return json.dumps(text, ensure_ascii=False)
