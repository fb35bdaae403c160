"""What runs inside the sandbox: the standard library alone, sent there as text by `mopd.sandbox.zygote`."""
