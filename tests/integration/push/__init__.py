"""`byoc push` against moto as AWS, Debian's docker-registry as ECR's registry, and the real engine."""
