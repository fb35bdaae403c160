"""How a policy is loaded, as code that works: sampled as its held-out replies were."""

from __future__ import annotations

import json
from typing import Any

from flows.report.card.markdown import code, code_block
from flows.report.card.source import CardSource
from mopd.models.folders import ADAPTER
from mopd.settings import GenerateSettings
from mopd.settings.sampling import SHAPING

QUESTION = '[{"role": "user", "content": "What is 7 + 8?"}]'
ALWAYS_SAID = ("top_p", "top_k")
"""Settings of sampling for which a model's folder, or transformers, may have others where none are given."""
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
question = {question}
inputs = tokenizer.apply_chat_template(
    question, add_generation_prompt=True, return_dict=True, return_tensors="pt"
)
outputs = model.generate(
    **inputs, {sampling}
)
reply = outputs[0, inputs["input_ids"].shape[1] :]
print(tokenizer.decode(reply, skip_special_tokens=True))"""
PEFT = """\
from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained({base})
model = PeftModel.from_pretrained(base, {name}, subfolder={adapter})"""


def loading_text(source: CardSource) -> str:
    """Both ways to load the weights, whole."""
    here = [] if "/" in source.name else [f"{code(source.name)} is the folder that this file lies in."]
    return "\n\n".join([*here, "With vLLM:", vllm_code(source), "With transformers:", transformers_code(source)])


def vllm_code(source: CardSource) -> str:
    """A block of Python."""
    sampling = source.settings.evaluation_sampling
    arguments = {"temperature": sampling.temperature, **_shaping(sampling), "max_tokens": sampling.max_tokens}
    if sampling.stop:
        arguments["stop"] = list(sampling.stop)
    return code_block(
        "python", VLLM.format(name=_quoted(source.name), sampling=_keywords(arguments), question=QUESTION)
    )


def transformers_code(source: CardSource) -> str:
    """A block of Python. A presence penalty, and texts that end a reply, are vLLM's alone."""
    sampling = source.settings.evaluation_sampling
    shaping = {name: value for name, value in _shaping(sampling).items() if name != "presence_penalty"}
    sampled = {"do_sample": True, "temperature": sampling.temperature, **shaping}
    arguments = {**(sampled if sampling.temperature else {"do_sample": False}), "max_new_tokens": sampling.max_tokens}
    return code_block(
        "python", TRANSFORMERS.format(name=_quoted(source.name), sampling=_keywords(arguments), question=QUESTION)
    )


def peft_code(source: CardSource) -> str:
    """A block of Python that puts the adapter on its base."""
    base = _quoted(source.base.loaded_by or "path/to/the/base/model")
    if source.base.revision:
        base += f", revision={_quoted(source.base.revision)}"
    return code_block("python", PEFT.format(base=base, name=_quoted(source.name), adapter=_quoted(ADAPTER)))


def _shaping(sampling: GenerateSettings) -> dict[str, Any]:
    """What makes another distribution of the model's own, where it isn't at its default."""
    fields = type(sampling).model_fields
    names = [name for name in SHAPING if name in ALWAYS_SAID or getattr(sampling, name) != fields[name].default]
    return {name: getattr(sampling, name) for name in names}


def _keywords(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def _quoted(text: str) -> str:
    """A literal of Python."""
    return json.dumps(text, ensure_ascii=False)
