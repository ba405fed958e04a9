"""What a model's own settings of generation would do to its samples, and ours do not."""

from transformers import GenerationConfig

from eval.turn_end import HasSettings

NEUTRAL = {  # by setting: the values beside None that change nothing
    "repetition_penalty": (1,), "encoder_repetition_penalty": (1,), "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,), "diversity_penalty": (0,), "guidance_scale": (1,),
    "exponential_decay_length_penalty": (), "sequence_bias": (), "bad_words_ids": (),
    "suppress_tokens": (), "begin_suppress_tokens": (), "forced_bos_token_id": (),
    "forced_eos_token_id": (), "min_length": (0,), "min_new_tokens": (0,),
    "watermarking_config": (), "top_k": (0,), "min_p": (0,), "top_h": (1,), "typical_p": (1,),
    "epsilon_cutoff": (0,), "eta_cutoff": (0,), "stop_strings": (), "token_healing": (False,),
}  # fmt: skip
LONGEST = 30  # characters of a value that is shown


def unused_settings(model: HasSettings) -> str | None:
    """Return a line that names a model's settings which sampling here leaves aside; None of none.

    Samples are of the policy whose log-probs are trained: penalties and bans make another one.
    """
    settings = getattr(model, "generation_config", None)
    usual = GenerationConfig()
    named = [
        f"{name} {value!r}" if len(repr(value)) <= LONGEST else name
        for name, neutral in NEUTRAL.items()
        if (value := getattr(settings, name, None)) not in (None, getattr(usual, name, None))
        and value not in neutral
        and value not in ([], {}, ())
    ]
    if not named:
        return None
    return (
        f"not used of the model's own settings of generation: {', '.join(named)} (samples are of "
        f"its plain distribution, as log-probs are; other programs may apply them)"
    )
