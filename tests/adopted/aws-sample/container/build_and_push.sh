#!/usr/bin/env bash
# The argument is the image's name, here and in ECR.
image=$1
chmod +x means/train means/serve
docker build -t ${image} .
