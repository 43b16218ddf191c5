"""A stand-in for llama.cpp's convert_hf_to_gguf.py: an OLMo 2 folder as a GGUF file, by the gguf package's names."""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
from safetensors import safe_open

from tunesmith.export.gguf.vocabulary import vocabulary

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("--outfile", type=Path)
parser.add_argument("--outtype", choices=["f32", "f16", "bf16"])
parser.add_argument("--model-name")
asked = parser.parse_args()
config = json.loads((asked.folder / "config.json").read_text(encoding="utf-8"))
if config["model_type"] != "olmo2":
    raise SystemExit(f"ERROR:hf-to-gguf:Model {config['architectures'][0]} is not supported")
writer = gguf.GGUFWriter(asked.outfile, "olmo2")
writer.add_name(asked.model_name)
writer.add_block_count(config["num_hidden_layers"])
writer.add_context_length(config["max_position_embeddings"])
writer.add_embedding_length(config["hidden_size"])
writer.add_feed_forward_length(config["intermediate_size"])
writer.add_head_count(config["num_attention_heads"])
writer.add_head_count_kv(config["num_key_value_heads"])
writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
for key, (value, kind) in vocabulary(asked.folder, config["vocab_size"]).items():
    writer.add_key_value(key, value, kind)
names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.OLMO2, config["num_hidden_layers"])
with safe_open(asked.folder / "model.safetensors", "pt") as file:
    for name in file.keys():  # noqa: SIM118
        tensor = file.get_tensor(name).float().numpy().astype(np.float32)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), tensor)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
