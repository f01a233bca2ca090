# shellcheck shell=bash
# What tools/test, tools/quickstart, tools/tidy and .ci/run share: stages with a name and a time, a
# last line that names the stage that failed, and building a preset. Sourced, never run.

stages_script=tools/${0##*/}
stage_name=start
stage_begin=$SECONDS

# stage NAME: what follows belongs to it.
stage() {
    stage_name=$1
    stage_begin=$SECONDS
    printf '\n== %s ==\n' "$1"
}

stages_end() {
    local status=$1
    if [ "$status" -ne 0 ]; then
        printf '%s: FAILED in stage "%s" after %d s (exit status %d); the lines above say why\n' \
            "$stages_script" "$stage_name" $((SECONDS - stage_begin)) "$status" >&2
    fi
}
trap 'stages_end $?' EXIT

jobs_here() {
    getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2
}

# configure_preset PRESET: ninja where it is installed; a folder keeps the generator it began with.
configure_preset() {
    if [ -z "${CMAKE_GENERATOR:-}" ] && command -v ninja >/dev/null; then
        export CMAKE_GENERATOR=Ninja
    fi
    cmake --preset "$1" --log-level=WARNING
}

# build_preset PRESET [TARGET]: configures and builds everything, or one target.
build_preset() {
    configure_preset "$1"
    cmake --build --preset "$1" --parallel "$(jobs_here)" ${2:+--target "$2"}
}
