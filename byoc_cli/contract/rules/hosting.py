"""The rules of an endpoint, and of batch transform (H-…)."""

from __future__ import annotations

from byoc_cli.contract.rules.rule import NOT_DOCUMENTED, api, code, guide, guide_2023, issue, rule

_TOOLKIT = "aws/sagemaker-inference-toolkit"
_TF_SERVING = "aws/sagemaker-tensorflow-serving-container"
_INFERENCE = guide("your-algorithms-inference-code")
_MULTI_MODEL = guide("mms-container-apis")
_PIPELINE = guide_2023("inference-pipeline-real-time", "multi-container-endpoints")
_BATCH = guide("your-algorithms-batch-code")

RULES = (
    # -- start, model, stop ------------------------------------------------------------------------------------------
    rule("H-01", "MUST", "An endpoint's container starts as `docker run IMAGE serve`, whatever CMD says.", _INFERENCE),
    rule(
        "H-02",
        "MUST",
        "ENTRYPOINT is in exec form and not tini, the container runs as root, and the image has no NVIDIA driver.",
        _INFERENCE,
    ),
    rule(
        "H-03",
        "MUST",
        "The model is in `/opt/ml/model`: the tar.gz of `ModelDataUrl` is unpacked there before the start, and is not "
        "there itself. It has to be a gzip-compressed tar.",
        _INFERENCE,
    ),
    rule("H-04", "MUST", "`/opt/ml/model` is read-only for the container.", _INFERENCE),
    rule(
        "H-05",
        "SHOULD",
        "`ModelDataSource` has `S3DataType` S3Prefix (its URI ends with `/`) or S3Object and `CompressionType` None or "
        "Gzip. Uncompressed, the tree below the prefix is kept, and a deployment fails by names that are empty, `.`, "
        "`..`, hold NUL or pass 255 bytes, and by one that is both a file and a folder; it is not for batch, "
        "serverless and multi-model.",
        api("S3ModelDataSource"),
        guide("large-model-inference-uncompressed"),
    ),
    rule(
        "H-06",
        "NICE",
        "Up to 5 `AdditionalModelDataSources` are in `/opt/ml/additional-model-data-sources/<ChannelName>/`.",
        api("AdditionalModelDataSource"),
    ),
    rule("H-07", "MUST", "A container is stopped by SIGTERM, and by SIGKILL 30 s later.", _INFERENCE),
    rule(
        "H-08",
        "MUST",
        "`Environment` of the model has at most 100 entries, names and values of at most 1,024 characters each, 32 KB "
        "in all.",
        api("EnvironmentMap"),
    ),
    rule(
        "H-09",
        "MUST",
        "No further argument chooses a framework, and `serve` is looked up in the image's own PATH.",
        _INFERENCE,
    ),
    # -- HTTP --------------------------------------------------------------------------------------------------------
    rule(
        "H-10",
        "MUST",
        "`GET /ping` on port 8080 is answered with 200 within 2 s, the body does not matter; any other status, or a "
        "later answer, is unhealthy. The same page speaks of POST to /ping: answer both.",
        _INFERENCE,
        issue("aws/deep-learning-containers", 2917),
    ),
    rule(
        "H-11",
        "MUST",
        "Pings have to pass within 8 minutes of the start (4 in 2023), or within "
        "`ContainerStartupHealthCheckTimeoutInSeconds`, 60 to 3,600; serverless within 3 minutes, the download "
        "included.",
        _INFERENCE,
        guide_2023("your-algorithms-inference-code"),
        api("ProductionVariant"),
        guide("serverless-endpoints"),
    ),
    rule(
        "H-12",
        "MUST",
        "The server listens on port 8080 of all interfaces; one on 127.0.0.1 cannot be reached.",
        _INFERENCE,
    ),
    rule("H-13", "MUST", "A connection is accepted within 250 ms.", _INFERENCE),
    rule("H-14", "NICE", "`ModelDataDownloadTimeoutInSeconds` is 60 to 3,600.", api("ProductionVariant")),
    rule(
        "H-15",
        "MUST",
        "`POST /invocations` has the body, the `Content-Type` and the `Accept` of the InvokeEndpoint call.",
        _INFERENCE,
    ),
    rule(
        "H-16",
        "SHOULD",
        "Of a call's headers `Content-Type`, `Accept` and these arrive: `X-Amzn-SageMaker-Custom-Attributes` (at most "
        "1,024 visible ASCII characters), `-Target-Model`, `-Target-Variant`, `-Target-Container-Hostname`, "
        "`-Inference-Id` (at most 64), `-Enable-Explanations`, `-Inference-Component`, `-Session-Id`. All others are "
        "cut; what the platform adds has to be ignored.",
        _INFERENCE,
        api("InvokeEndpointInput"),
    ),
    rule(
        "H-17",
        "SHOULD",
        "Of the answer's headers the caller gets `Content-Type`, `X-Amzn-SageMaker-Custom-Attributes`, "
        "`x-Amzn-Invoked-Production-Variant`, `X-Amzn-SageMaker-New-Session-Id` "
        "(`<id>; Expires=YYYY-MM-DDThh:mm:ssZ`) and `X-Amzn-SageMaker-Closed-Session-Id`.",
        api("InvokeEndpointOutput"),
    ),
    rule(
        "H-18",
        "SHOULD",
        "What is not 2xx becomes a ModelError, HTTP 424, with `OriginalStatusCode`, `OriginalMessage` and "
        '`LogStreamArn`: `Received client error (4xx) from primary with message "…"`, or `server error (5xx)`.',
        api("ModelError"),
        "public issues",
    ),
    rule(
        "H-19",
        "NICE",
        "By convention of AWS's toolkit an unknown content type is 415 and an unknown Accept 406; the platform does "
        "not ask for it.",
        code(_TOOLKIT, "errors.py", "decoder.py"),
    ),
    rule(
        "H-20",
        "MUST",
        "An answer is there within 60 s, a stream's within 8 minutes; later the caller reads `Received server error "
        '(0) from primary with message "Your invocation timed out while waiting for a response from container '
        'primary…"`.',
        _INFERENCE,
    ),
    rule(
        "H-21",
        "MUST",
        "A real-time request has at most 25 MB (the API model says 6,291,456 bytes, older documents 6 MB), a "
        "serverless one 4 MB, an asynchronous one 1 GB.",
        guide("hosting-faqs"),
        api("BodyBlob"),
        guide("serverless-endpoints"),
        guide("async-inference"),
    ),
    rule(
        "H-22",
        "SHOULD",
        "An answer is limited as a request is; one that is larger is `could not load the entire response body`, 413.",
        "the developer guide on troubleshooting endpoints",
        f"the number: {NOT_DOCUMENTED}",
    ),
    rule(
        "H-23",
        "NICE",
        "InvokeEndpoint fails with ValidationError 400, ModelError 424, ModelNotReadyException 429, InternalFailure "
        "500, InternalDependencyException 530 or ServiceUnavailable 503.",
        api("InvokeEndpoint"),
    ),
    rule(
        "H-24",
        "NICE",
        "Pings go on as long as the endpoint does, about every 2 s (User-Agent `AHC/2.0`): /ping is best kept out of "
        "access logs.",
        issue("aws/sagemaker-python-sdk", 1554),
    ),
    rule(
        "H-25",
        "SHOULD",
        "Requests come at the same time: the platform holds none back for a real-time container.",
        NOT_DOCUMENTED,
    ),
    rule(
        "H-26",
        "SHOULD",
        "A model with network isolation calls nobody outside: no pip install and no download at the start.",
        guide_2023("mkt-algo-model-internet-free"),
    ),
    rule(
        "H-27",
        "NICE",
        "An endpoint that fails says `CannotStartContainerError. Please ensure the model container for variant X "
        "starts correctly when invoked with 'docker run <image> serve'`, or `The primary container for production "
        "variant X did not pass the ping health check. Please check CloudWatch logs for this endpoint.`",
        "the developer guide of 2023 and public issues",
    ),
    rule(
        "H-28",
        "NICE",
        "stdout and stderr go to the log group `/aws/sagemaker/Endpoints/<endpoint>`, stream `<variant>/<instance>`, "
        "with the container's host name after it where there are several.",
        guide_2023("async-inference-monitor", "inference-pipeline-troubleshoot"),
    ),
    # -- several containers, several models --------------------------------------------------------------------------
    rule(
        "H-30",
        "MUST",
        "With several containers on an endpoint each listens on the port of `SAGEMAKER_BIND_TO_PORT`, not on 8080; a "
        "further port comes from `SAGEMAKER_SAFE_PORT_RANGE` (`XXXX-YYYY`).",
        _PIPELINE,
        code(_TF_SERVING, "serve.py"),
        code(_TOOLKIT, "model_server.py"),
        when="if used",
    ),
    rule(
        "H-31",
        "MUST",
        "With several containers on an endpoint each image has the label "
        "`com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true`, or CreateModel says "
        "`Your Ecr Image … does not contain required com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true "
        "Docker label(s).`",
        _PIPELINE,
        "public issues",
        when="if used",
    ),
    rule(
        "H-32",
        "NICE",
        "There are 2 to 15 containers. In a row, each one's answer is the next one's request, with at most 5 MB "
        "between them (2023); called directly, `TargetContainerHostname` chooses.",
        guide_2023("inference-pipelines", "multi-container-direct"),
    ),
    rule(
        "H-33",
        "NICE",
        "For a pipeline the policy of the ECR repository lets `sagemaker.amazonaws.com` pull.",
        guide_2023("inference-pipeline-real-time"),
    ),
    rule(
        "H-35",
        "MUST",
        "An image for many models has the label `com.amazonaws.sagemaker.capabilities.multi-models=true`, finds "
        "`SAGEMAKER_MULTI_MODEL=true`, and its models in `/opt/ml/models/<hash>/model`. On GPUs only Triton is "
        "documented.",
        _MULTI_MODEL,
        guide_2023("build-multi-model-build-container"),
        when="if used",
    ),
    rule(
        "H-36",
        "MUST",
        '`POST /models` with `{"model_name": "<name>", "url": "/opt/ml/models/<name>/model"}` loads one: 200, 409 if '
        "it is loaded already, 507 if memory is short, after which the platform unloads others and asks again.",
        _MULTI_MODEL,
        when="if used",
    ),
    rule(
        "H-37",
        "MUST",
        '`GET /models` gives `{"models": [{"modelName": "…", "modelUrl": "…"}], "nextPageToken": "…"}`, the token only '
        "where more follow; the query is `next_page_token`.",
        _MULTI_MODEL,
        when="if used",
    ),
    rule(
        "H-38",
        "MUST",
        "`GET /models/{name}` gives `modelName` and `modelUrl`, or 404.",
        _MULTI_MODEL,
        when="if used",
    ),
    rule(
        "H-39",
        "MUST",
        "`DELETE /models/{name}` is answered with 200 when its memory is free, with 404 if it is not loaded.",
        _MULTI_MODEL,
        when="if used",
    ),
    rule(
        "H-40",
        "MUST",
        "`POST /models/{name}/invoke` is what /invocations is, with `Content-Type`, `Accept`, "
        "`X-Amzn-SageMaker-Custom-Attributes` and `X-Amzn-SageMaker-Target-Model`; 404 if not loaded, 507 if memory is "
        "short (GPU). The name is an opaque hash, not the S3 key.",
        _MULTI_MODEL,
        when="if used",
    ),
    # -- streams, asynchronous, batch, serverless, capture -----------------------------------------------------------
    rule(
        "H-45",
        "SHOULD",
        "A streamed answer is one of `POST /invocations`, too: sent in chunks, each flushed.",
        _INFERENCE,
        api("InvokeEndpointWithResponseStream"),
    ),
    rule(
        "H-46",
        "NICE",
        "A stream that breaks is a ModelStreamError, `ModelInvocationTimeExceeded` or `StreamBroken`.",
        api("ModelStreamError"),
    ),
    rule(
        "H-47",
        "NICE",
        "A bidirectional stream needs the label `com.amazonaws.sagemaker.capabilities.bidirectional-streaming=true` "
        "and a WebSocket on port 8080, path `/invocations-bidirectional-stream` unless "
        "`X-Amzn-SageMaker-Model-Invocation-Path` and `X-Amzn-SageMaker-Model-Query-String` say otherwise. The "
        "platform pings every 60 s and closes after five missed pongs; UTF8 goes as text frames, all else as binary "
        "ones, PARTIAL and COMPLETE as fragments.",
        _INFERENCE,
    ),
    rule(
        "H-50",
        "SHOULD",
        "Asynchronous requests use the same paths, with bodies from S3 of up to 1 GB: 1 to 3,600 s for an answer "
        "(default 900), 60 to 21,600 s for a request to live, 1 to 1,000 at once on an instance. Answers go to "
        "`<S3OutputPath>/<id>.out`, failures to `S3FailurePath`.",
        guide("async-inference"),
        api("AsyncInferenceClientConfig", "InvokeEndpointAsync"),
    ),
    rule(
        "H-55",
        "MUST",
        "Batch transform starts `serve` with `SAGEMAKER_BATCH=true` in lower case, and `SAGEMAKER_MAX_PAYLOAD_IN_MB`, "
        "`SAGEMAKER_BATCH_STRATEGY` (`SINGLE_RECORD`, `MULTI_RECORD`) and `SAGEMAKER_MAX_CONCURRENT_TRANSFORMS` only "
        "as far as the request sets them.",
        _BATCH,
        when="for batch",
    ),
    rule(
        "H-56",
        "SHOULD",
        "`GET /execution-parameters` may give "
        '`{"MaxConcurrentTransforms": 8, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}`, or any status but '
        "200. The request wins over it, and it over the defaults 1, MULTI_RECORD and 6.",
        _BATCH,
    ),
    rule(
        "H-57",
        "SHOULD",
        "`MaxPayloadInMB` is 0 to 100, 0 meaning that a file is streamed whole; times `MaxConcurrentTransforms` it is "
        "at most 100.",
        api("CreateTransformJob"),
    ),
    rule(
        "H-58",
        "SHOULD",
        "`SplitType` is None, Line, RecordIO or TFRecord, `AssembleWith` None or Line; `<input>.out` keeps the input's "
        "order. A record that fails fails its file, which leaves nothing, and a failed file the job; RecordIO's "
        "padding goes for SingleRecord only, and a CSV field holds no newline.",
        guide_2023("batch-transform"),
        api("TransformInput", "TransformOutput"),
    ),
    rule(
        "H-59",
        "NICE",
        "A batch invocation takes 1 to 3,600 s (default 600) and is tried again 0 to 3 times (default 3); a transform "
        "job's `Environment` has at most 16 entries.",
        api("ModelClientConfig", "TransformEnvironmentMap"),
    ),
    rule(
        "H-60",
        "NICE",
        "`InputFilter` and `OutputFilter` are JSONPaths of at most 63 characters; `JoinSource` is None or Input, which "
        "puts `SageMakerInput` and `SageMakerOutput` side by side in JSON.",
        guide_2023("batch-transform-data-processing"),
    ),
    rule(
        "H-65",
        "SHOULD",
        "Serverless: 1,024 to 6,144 MB of memory in steps of 1,024, an image of at most 10 GB unpacked, 5 GB of disk, "
        "4 MB a request, 60 s an answer, 3 minutes to the first good ping, at most 200 requests at once; no GPU, VPC, "
        "isolation, multi-model, pipeline or capture. One worker is advised, and `chmod o+rwX` for folders of code, as "
        "the container may run as another user.",
        guide("serverless-endpoints"),
    ),
    rule(
        "H-70",
        "NICE",
        "Data capture writes JSON lines of `captureData` (`endpointInput`, `endpointOutput`, each with "
        "`observedContentType`, `mode`, `data`, `encoding`), `eventMetadata` (`eventId`, `inferenceTime`) and "
        '`eventVersion` "0"; an encoding is CSV, JSON or BASE64.',
        guide_2023("model-monitor-data-capture-endpoint"),
        f"BASE64: {NOT_DOCUMENTED}",
    ),
    rule(
        "H-75",
        "NICE",
        "AWS's own images read `SAGEMAKER_PROGRAM`, `SAGEMAKER_SUBMIT_DIRECTORY`, `SAGEMAKER_MODEL_SERVER_WORKERS`, "
        "`SAGEMAKER_MODEL_SERVER_TIMEOUT` (60), `SAGEMAKER_STARTUP_TIMEOUT` (600), "
        "`SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT`, `SAGEMAKER_CONTAINER_LOG_LEVEL`, `SAGEMAKER_TFS_*` and "
        "`SAGEMAKER_GUNICORN_*`; the platform sets none of them.",
        code(_TOOLKIT, "environment.py", "parameters.py"),
        code(_TF_SERVING, "serve.py"),
    ),
    rule(
        "H-76",
        "NICE",
        "AWS's TensorFlow Serving image has nginx in front (port 8080 or the one to bind to, `client_max_body_size "
        "0`), gunicorn for `inference.py` and multi-model, TensorFlow Serving behind. Models are in "
        "`/opt/ml/model/<name>/<version>/saved_model.pb`, or versions at the root, chosen by the custom attribute "
        "`tfs-model-name=<name>`; it stops nginx with SIGQUIT, the others with SIGTERM.",
        code(_TF_SERVING, "serve.py", "nginx.conf.template", "tfs_utils.py"),
    ),
)
