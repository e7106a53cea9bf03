#![no_main]

anodiff_fuzz::target!("learned");
