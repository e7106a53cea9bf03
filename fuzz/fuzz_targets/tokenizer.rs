#![no_main]

anodiff_fuzz::target!("tokenizer");
