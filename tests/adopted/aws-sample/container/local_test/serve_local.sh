#!/bin/sh
image=$1
docker run -v $(pwd)/test_dir:/opt/ml -p 8080:8080 -e MODEL_SERVER_WORKERS=1 --rm ${image} serve
