#!/bin/sh
image=sagemaker-means
mkdir -p test_dir/model test_dir/output
docker run -v $(pwd)/test_dir:/opt/ml --rm ${image} train
