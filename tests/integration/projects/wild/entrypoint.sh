#!/bin/bash
set -e

if [[ "$1" = "serve" ]]; then
    shift 1
    exec /opt/program/server
else
    exec "$@"
fi
