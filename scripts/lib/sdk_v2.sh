# shellcheck shell=bash
# SageMaker's Python SDK 2.x, with which a test talks to the local endpoint: in an environment of its own, because it pins
# much of what byoc uses, and in the cache, because it is large.

SDK_REQUIREMENT='sagemaker>=2.240,<3'
SDK_VENV=$CACHE_DIR/sagemaker-sdk-v2
# Written last. Says what the environment was made from.
SDK_STAMP=$SDK_VENV/byoc-stamp

step_sdk_v2() {
    step_begin sdk-v2
    if sdk_trusted; then
        step_end "$SDK_REQUIREMENT in $SDK_VENV (reused)"
        return
    fi
    step_note "installing $SDK_REQUIREMENT into $SDK_VENV (pip)"
    rm -rf "$SDK_VENV"
    mkdir -p "$CACHE_DIR"
    if ! quietly "$STATE_DIR/sdk-v2.log" in_venv venv --without-pip "$SDK_VENV" ||
        ! quietly "$STATE_DIR/sdk-v2.log" in_venv pip --python "$SDK_VENV/bin/python" install --quiet --no-compile "$SDK_REQUIREMENT"; then
        die 1 "the SageMaker SDK 2.x could not be installed" "hint: see above"
    fi
    sdk_fingerprint >"$SDK_STAMP"
    step_end "$SDK_REQUIREMENT installed"
}

sdk_fingerprint() {
    printf '%s %s\n' "$SDK_REQUIREMENT" "$(readlink -f "$VENV/bin/python")"
}

sdk_trusted() {
    [ -f "$SDK_STAMP" ] && [ "$(cat "$SDK_STAMP")" = "$(sdk_fingerprint)" ] &&
        "$SDK_VENV/bin/python" -c 'import sys' 2>/dev/null
}
