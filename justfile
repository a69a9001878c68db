# The verbs of this project; CI runs the same.

# what CI runs: format, lints, every test
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    scripts/test

# every test, after installing the programs they drive; arguments go to cargo test
test *args:
    scripts/test {{args}}

# the harnesses of tests/torture at length, in release: half an hour, and a table at the end; arguments go to the tests
torture *args:
    scripts/torture {{args}}

# the daemon before mail servers and relays that lie, stall and attack, with the memory each script took
hostile *args:
    scripts/tabled 'script | servers | connections | time | peak memory' --test hostile {{args}} -- --nocapture

# days between acuse and peers that answer by themselves, as a table
loops:
    cargo test --locked --test loops -- --nocapture --test-threads=1

# every bomb in every size, in release, as a table of time and memory; arguments are those of a Rust test program, such as a name
bombs *args:
    ACUSE_BOMBS=all scripts/test --release --test bombs -- --nocapture --test-threads=1 {{args}}

# the real daemon on a dozen mails, on loopback
demo *args:
    cargo demo {{args}}

# fuzz the readers of mail: seconds a target, then targets; `short` tries the same few inputs each time, as CI does
fuzz *args:
    scripts/fuzz {{args}}

# benchmarks, as ratios in one run: all, or one by its name; `just bench drain -- latency` asks for a part (benches/drain)
bench *args:
    cargo bench --bench {{ if args == "" { "'*'" } else { args } }}

# format the code
fmt:
    cargo fmt
