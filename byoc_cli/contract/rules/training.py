"""The rules of a training job (T-…)."""

from __future__ import annotations

from byoc_cli.contract.rules.rule import (
    FIRST_HAND,
    IN_LATER_JOBS,
    IN_REAL_JOB,
    NOT_DOCUMENTED,
    api,
    code,
    guide,
    guide_2023,
    issue,
    rule,
)

_SDK = "aws/sagemaker-python-sdk"
_TOOLKIT = "aws/sagemaker-training-toolkit"
_DOCKERFILE = guide("your-algorithms-training-algo-dockerfile")
_RUNNING = guide("your-algorithms-training-algo-running-container")
_OUTPUT = guide_2023("your-algorithms-training-algo-output")
_SIGNALS = guide_2023("your-algorithms-training-signal-success-failure")

RULES = (
    # -- how it is started -------------------------------------------------------------------------------------------
    rule(
        "T-01",
        "MUST",
        "A job starts as `docker run IMAGE train`: the single argument `train` takes the place of CMD and follows "
        "ENTRYPOINT, if the image has one.",
        _DOCKERFILE,
    ),
    rule(
        "T-02",
        "MUST",
        "With `ContainerEntrypoint` alone the start is `docker run --entrypoint EP[0] IMAGE EP[1:]`, without `train`.",
        _DOCKERFILE,
    ),
    rule(
        "T-03",
        "MUST",
        "With `ContainerArguments` alone they replace `train`: `docker run IMAGE ARG1 ARG2`.",
        _DOCKERFILE,
    ),
    rule(
        "T-04",
        "MUST",
        "With `ContainerEntrypoint` and `ContainerArguments` the start is `docker run --entrypoint EP IMAGE ARGS`.",
        _DOCKERFILE,
    ),
    rule(
        "T-05",
        "SHOULD",
        "The entrypoint and the arguments are lists of 1 to 100 strings, each of at most 256 characters.",
        api("AlgorithmSpecification"),
    ),
    rule(
        "T-06",
        "MUST",
        "ENTRYPOINT is written in exec form (a JSON list), so that the program itself is PID 1 and receives SIGTERM.",
        _DOCKERFILE,
    ),
    rule(
        "T-07",
        "SHOULD",
        "`tini` is not the entrypoint, as it takes `train` or `serve` for the program to run: "
        "`[FATAL tini (7)] exec train failed: No such file or directory`, or `Permission denied`.",
        _DOCKERFILE,
        issue(_SDK, 4678, 4113),
    ),
    rule(
        "T-08",
        "NICE",
        'A missing `train` is told as `exec: "train": executable file not found in $PATH`, within '
        "`AlgorithmError: , exit code: 127` or `ClientError: Artifact upload failed:API error (400): OCI runtime "
        "create failed…`.",
        issue(_SDK, 222),
        issue("aws/amazon-sagemaker-examples", 739, 3650),
    ),
    rule(
        "T-09",
        "NICE",
        '`ModelTrainer` of SDK v3 starts an image with the entrypoint `["/bin/bash"]` and the arguments `["-c", '
        '"chmod +x /opt/ml/input/data/sm_drivers/sm_train.sh && /opt/ml/input/data/sm_drivers/sm_train.sh"]`, and adds '
        "the channels `code` and `sm_drivers`; such an image needs `/bin/bash` and a Python.",
        code(_SDK, "sagemaker-train/src/sagemaker/train/model_trainer.py", "constants.py"),
    ),
    rule(
        "T-10",
        "NICE",
        "A training script that comes from a channel needs a channel in File mode that is FullyReplicated.",
        _DOCKERFILE,
    ),
    # -- what it finds -----------------------------------------------------------------------------------------------
    rule(
        "T-11",
        "MUST",
        "At the start there are `/opt/ml/input/config/*.json`, `/opt/ml/input/data/<channel>`, `/opt/ml/model`, "
        "`/opt/ml/output` and `/opt/ml/output/data`; real jobs also showed `metrics/sagemaker`, `profiler` and "
        "`tensorboard` in `/opt/ml/output`.",
        _RUNNING,
        _OUTPUT,
        IN_REAL_JOB,
        when="for the first five, NICE for the rest",
    ),
    rule(
        "T-12",
        "MUST",
        "`/opt/ml/input/config/hyperparameters.json` is one flat JSON object in which every value is a string, `{}` "
        "where there are none. The SDK's framework estimators encode values as JSON beforehand, so that their strings "
        'come in two pairs of quotes: `"\\"hello\\""`.',
        _RUNNING,
        IN_REAL_JOB,
    ),
    rule(
        "T-13",
        "SHOULD",
        "A job has at most 100 hyperparameters, with names of at most 256 and values of at most 2,500 characters "
        "(the API's prose still says 256 for values).",
        api("HyperParameters", "HyperParameterValue"),
    ),
    rule(
        "T-14",
        "MUST",
        "On disk the name is `resourceconfig.json`, all in lower case; the `resourceConfig.json` of older texts is not "
        "there.",
        _RUNNING,
        IN_REAL_JOB,
        code(_TOOLKIT, "environment.py"),
    ),
    rule(
        "T-15",
        "MUST",
        "`resourceconfig.json` has `current_host` (a string), `hosts` (a list in lexicographic order) and "
        "`network_interface_name` (a string).",
        _RUNNING,
    ),
    rule(
        "T-16",
        "SHOULD",
        "`resourceconfig.json` also has `current_instance_type`, `current_group_name` and `instance_groups` (each with "
        "`instance_group_name`, `instance_type`, `hosts`), and since about 2025 `topology`, `null` where there is "
        "none. A job of equal hosts has the one group `homogeneousCluster`.",
        IN_LATER_JOBS,
        code(_TOOLKIT, "environment.py"),
    ),
    rule(
        "T-17",
        "MUST",
        "N hosts are called `algo-1` to `algo-N`, but code must read the names; as strings, `algo-10` sorts before "
        "`algo-2`.",
        _RUNNING,
        IN_REAL_JOB,
    ),
    rule(
        "T-18",
        "SHOULD",
        "`network_interface_name` has to be read: the guide shows `eth1`, real jobs have `eth0`, very old ones "
        "`ethwe`.",
        _RUNNING,
        IN_REAL_JOB,
        IN_LATER_JOBS,
        code(_TOOLKIT, "params.py"),
    ),
    rule(
        "T-19",
        "MUST",
        "`inputdataconfig.json` is an object by channel of `TrainingInputMode`, `S3DistributionType` and "
        "`RecordWrapperType`, with `ContentType` only where it was given. EFS and FSx channels are "
        "`FullyReplicated`.",
        _RUNNING,
        IN_REAL_JOB,
    ),
    rule(
        "T-20",
        "SHOULD",
        "In `inputdataconfig.json` `TrainingInputMode` is `File` or `Pipe`; a FastFile channel is written as `File` "
        "(the guide of 2023 said `FastFile`).",
        _RUNNING,
        guide_2023("your-algorithms-training-algo-running-container"),
    ),
    rule(
        "T-21",
        "NICE",
        "Real jobs have files that no document names: `init-config.json`, `trainingjobconfig.json`, "
        "`upstreamoutputdataconfig.json` and `metric-definition-regex.json` (both `[]`), and, where configured, "
        "`checkpointconfig.json`, `tensorboardoutputconfig.json`, `debughookconfig.json` and `profilerconfig.json`. "
        "Enumerations are spelled `S3_PREFIX`, `SHARDED_BY_S3_KEY`, `NONE` in them.",
        IN_REAL_JOB,
    ),
    rule(
        "T-22",
        "SHOULD",
        "Beside a File channel lies the file `/opt/ml/input/data/<channel>-manifest`: the key prefix without the "
        "bucket, then a full `s3://` URI per line for all objects, those of other hosts' shards too; "
        "`checkpoints-manifest` has the prefix alone. So `/opt/ml/input/data` does not hold folders only.",
        IN_REAL_JOB,
    ),
    rule(
        "T-23",
        "SHOULD",
        "Everything in `/opt/ml` is root's, folders with mode 0755, files with 0644; one job of 2022 had "
        "`/opt/ml/input/config` at 0644, which nobody but root can enter.",
        IN_REAL_JOB,
        FIRST_HAND,
    ),
    rule(
        "T-24",
        "MUST",
        "`TRAINING_JOB_NAME` and `TRAINING_JOB_ARN` are set; the ARN is "
        "`arn:aws:sagemaker:<region>:<account>:training-job/<name>` with the name in lower case.",
        _RUNNING,
        IN_REAL_JOB,
    ),
    rule(
        "T-25",
        "SHOULD",
        "A job's name matches `[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`.",
        api("TrainingJobName"),
    ),
    rule(
        "T-26",
        "SHOULD",
        "A request's `Environment` has at most 100 entries; a name matches `[a-zA-Z_][a-zA-Z0-9_]*` with at most 512 "
        "characters, a value has at most 512.",
        api("TrainingEnvironmentMap"),
    ),
    rule(
        "T-27",
        "NICE",
        "In a job of 2020 there were also `AWS_REGION`, `AWS_EXECUTION_ENV=AWS_ECS_EC2`, "
        "`AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`, `ECS_CONTAINER_METADATA_URI` and its `_V4`, `DMLC_INTERFACE=eth0`, "
        "`NVIDIA_VISIBLE_DEVICES=void` on CPU hosts, `HOME=/root`, `PWD=/`, and a `HOSTNAME` of the form "
        "`ip-10-0-….ec2.internal`, not `algo-1`.",
        IN_REAL_JOB,
    ),
    rule(
        "T-28",
        "SHOULD",
        "Credentials come from the container credentials endpoint, not from `AWS_ACCESS_KEY_ID`; "
        "`AWS_DEFAULT_REGION` was not seen.",
        IN_REAL_JOB,
    ),
    rule(
        "T-29",
        "MUST",
        "`SM_*` variables are made inside of the container, by sagemaker-training-toolkit or the drivers of SDK v3, "
        "never by the platform: an image without them cannot rely on them.",
        code(_TOOLKIT, "environment.py"),
        code(_SDK, "sagemaker-train/src/sagemaker/train/container_drivers/scripts/environment.py"),
        IN_REAL_JOB,
    ),
    rule(
        "T-30",
        "NICE",
        "The toolkit calls a key `SM_` and its name in upper case, and writes what is no string as JSON, keys sorted, "
        "without spaces. It keeps dashes (`SM_HP_BATCH-SIZE`), which SDK v3 turns into `_` for hyperparameters.",
        code(_TOOLKIT, "mapping.py", "environment.py"),
        code(_SDK, "sagemaker-train/src/sagemaker/train/container_drivers/scripts/environment.py"),
    ),
    rule(
        "T-30b",
        "NICE",
        "In a warm pool `SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY` is `/opt/ml/sagemaker/warmpoolcache`.",
        guide("train-warm-pools"),
    ),
    # -- how it ends -------------------------------------------------------------------------------------------------
    rule("T-31", "MUST", "Exit code 0 makes a job `Completed`, any other `Failed`.", _SIGNALS),
    rule(
        "T-32",
        "SHOULD",
        "A container that fails writes the cause to `/opt/ml/output/failure`; its first 1,024 characters become "
        "`FailureReason`.",
        _OUTPUT,
        api("FailureReason"),
    ),
    rule(
        "T-33",
        "NICE",
        "FailureReason reads `AlgorithmError: <the file's text>, exit code: N`, without a file "
        "`AlgorithmError: , exit code: 1`.",
        "FailureReason texts in public issues; no document gives the form",
    ),
    rule(
        "T-34",
        "SHOULD",
        "The failure file is called `failure`, without a suffix, right in `/opt/ml/output`. The toolkit writes it only "
        "where there is none, and an empty `success` when all went well.",
        code(_TOOLKIT, "files.py"),
    ),
    rule(
        "T-35",
        "SHOULD",
        "Exit code 137 is SIGKILL: memory ran out, or the time to stop did. The toolkit's words are "
        "`OutOfMemory: Process killed by SIGKILL (signal 9)`.",
        code(_TOOLKIT, "process.py"),
    ),
    rule("T-36", "SHOULD", "A job ends when PID 1 does: no work may be left in the background.", _SIGNALS),
    rule(
        "T-40",
        "MUST",
        "StopTrainingJob and the time limit are `docker stop -t 120`: SIGTERM, then SIGKILL after 120 s.",
        _DOCKERFILE,
    ),
    rule(
        "T-41",
        "SHOULD",
        "What is in `/opt/ml/model` after a stop is still uploaded; so a handler of SIGTERM saves the model there.",
        _DOCKERFILE,
        api("StopTrainingJob"),
    ),
    rule(
        "T-42",
        "NICE",
        "`MaxRuntimeInSeconds` is 86,400 by default and at most 2,419,200 (28 days), `MaxWaitTimeInSeconds` (spot) not "
        "less than it, `MaxPendingTimeInSeconds` 7,200 to 2,419,200.",
        api("StoppingCondition"),
    ),
    rule(
        "T-43",
        "NICE",
        "A job's status is InProgress, Completed, Failed, Stopping or Stopped; its secondary status Starting, Pending, "
        "Downloading, Training, Interrupted, Uploading, Completed, Failed, MaxRuntimeExceeded, MaxWaitTimeExceeded, "
        "Stopped, Stopping, Restarting or Updating.",
        api("TrainingJobStatus", "SecondaryStatus"),
    ),
    rule(
        "T-44",
        "NICE",
        "`MaximumRetryAttempts` is 1 to 30 and is for errors of the platform only.",
        api("RetryStrategy"),
    ),
    # -- what it leaves ----------------------------------------------------------------------------------------------
    rule(
        "T-45",
        "MUST",
        "`/opt/ml/model` becomes `<S3OutputPath>/<job>/output/model.tar.gz`; the archive's root is the folder's "
        "content, without a leading `model/` or `./`.",
        _OUTPUT,
        "archives of real jobs",
    ),
    rule(
        "T-46",
        "MUST",
        "`/opt/ml/output/data` becomes `<S3OutputPath>/<job>/output/output.tar.gz` in the same form; what lies beside "
        "`data` is not in it.",
        _OUTPUT,
        "archives of real jobs",
    ),
    rule(
        "T-47",
        "SHOULD",
        "What several hosts leave is merged into one archive: their files need different names.",
        _OUTPUT,
    ),
    rule(
        "T-48",
        "NICE",
        "`CompressionType` of the output is GZIP (the default) or NONE, which leaves the model's files under a prefix.",
        api("OutputDataConfig"),
    ),
    rule(
        "T-49",
        "NICE",
        "`/opt/ml/output/intermediate` is the toolkit's, and goes to S3 only with the hyperparameter "
        "`sagemaker_s3_output`.",
        code(_TOOLKIT, "intermediate_output.py"),
    ),
    rule(
        "T-50",
        "MUST",
        "A model's archive has no symbolic links: a model cannot be created from one that has. What the platform does "
        "with links in a job's output is not documented.",
        guide_2023("deploy-model-troubleshoot", "hosting-faqs"),
        when="for hosting",
    ),
    rule(
        "T-51",
        "SHOULD",
        "What `train` leaves in `/opt/ml/model` is what `serve` of the same image can load from there.",
        guide("your-algorithms-inference-code"),
    ),
    rule(
        "T-52",
        "SHOULD",
        "Checkpoints are in `LocalPath` of `CheckpointConfig`, `/opt/ml/checkpoints/` by default, and need an `S3Uri`. "
        "They are restored before the start and copied to S3 all the time, uncompressed, deletions too; what is added "
        "in S3 later is not fetched.",
        guide_2023("model-checkpoints"),
        api("CheckpointConfig"),
    ),
    rule(
        "T-53",
        "SHOULD",
        "All hosts keep their checkpoints in one place: names have to tell the hosts apart.",
        guide_2023("model-checkpoints"),
    ),
    rule(
        "T-54",
        "SHOULD",
        "An interrupted spot job goes through Interrupted, Starting, Downloading and Training again, under its name, "
        "in a new container with its checkpoints restored. A container hears of it by SIGTERM alone (T-40).",
        guide_2023("model-managed-spot-training"),
        api("SecondaryStatus"),
        NOT_DOCUMENTED,
    ),
    # -- channels ----------------------------------------------------------------------------------------------------
    rule(
        "T-55",
        "SHOULD",
        r"A job has 1 to 20 channels, whose names match `[A-Za-z0-9\.\-_]{1,64}`.",
        api("Channel", "ChannelName"),
    ),
    rule(
        "T-56",
        "SHOULD",
        "`S3DataType` is `S3Prefix`, `ManifestFile`, `AugmentedManifestFile` or `Converse`. A manifest is "
        '`[{"prefix": "s3://b/p/"}, "rel1", "rel2"]`.',
        api("S3DataSource"),
    ),
    rule(
        "T-57",
        "SHOULD",
        "With `ShardedByS3Key` each of n hosts gets about 1/n of the objects; where there are more hosts than objects, "
        "some get none.",
        api("S3DataDistribution"),
        IN_REAL_JOB,
    ),
    rule(
        "T-58",
        "MUST",
        "File mode: all objects are in `/opt/ml/input/data/<channel>` before the start, in the tree below the prefix, "
        "and may in practice be written to; EFS and FSx are mounted `ro` or `rw`, as asked for.",
        _RUNNING,
        api("FileSystemDataSource"),
        NOT_DOCUMENTED,
    ),
    rule(
        "T-59",
        "SHOULD",
        "FastFile mode: the same path, mounted read-only; for `S3Prefix` only, with a prefix that names a whole "
        "folder, and without any manifest.",
        _RUNNING,
    ),
    rule(
        "T-60",
        "MUST",
        "A container runs as root: `/opt/ml/model` and `/opt/ml/output` are root's, so that one with another `USER` "
        "can write neither its model nor the failure file, and has no FailureReason.",
        FIRST_HAND,
        guide("your-algorithms-inference-code"),
    ),
    rule(
        "T-61",
        "MUST",
        "Pipe mode: a FIFO `/opt/ml/input/data/<channel>_<epoch>`, epochs from 0, and no folder of the channel's name. "
        "It is read to its end or closed earlier, then the next one is opened, which may have to be waited for.",
        _RUNNING,
        when="for Pipe",
    ),
    rule(
        "T-62",
        "SHOULD",
        "A pipe has one reader; channels have no order among them and may be read at the same time.",
        _RUNNING,
    ),
    rule(
        "T-63",
        "NICE",
        "A simulator by an AWS author goes on with epochs for ever, and deletes a FIFO before it makes the next.",
        code("ishaaq/sagemaker-pipe"),
    ),
    rule(
        "T-64",
        "SHOULD",
        "A FIFO in a bind mount of Docker Desktop (macOS, Windows) carries nothing between the host and the container.",
        NOT_DOCUMENTED,
    ),
    rule(
        "T-65",
        "MUST",
        "A RecordIO frame is the magic number `0xCED7230A` and the length, both little-endian 32 bit unsigned, the "
        "payload, and zeros up to a multiple of 4 bytes, which the length does not count.",
        code(_TOOLKIT, "recordio.py"),
        when="for RecordIO",
    ),
    rule("T-66", "NICE", "`CompressionType` `Gzip` is for Pipe mode only; the platform unzips.", api("Channel")),
    rule(
        "T-67",
        "NICE",
        "`ShuffleConfig` with a `Seed` shuffles, in Pipe mode, the order of objects (or of a manifest's lines) at the "
        "start of each epoch; with `ShardedByS3Key` objects change hosts between epochs.",
        api("ShuffleConfig"),
    ),
    rule(
        "T-68",
        "NICE",
        "An augmented manifest is JSON lines (in 2023: for Pipe mode only) of which up to 16 `AttributeNames` are sent "
        "in order; of one that ends in `-ref` the S3 object's bytes are sent, and with RecordIO each is a record.",
        guide_2023("augmented-manifest"),
        api("S3DataSource"),
    ),
    # -- where it runs -----------------------------------------------------------------------------------------------
    rule(
        "T-69",
        "MUST",
        "stdout and stderr both go to the log group `/aws/sagemaker/TrainingJobs`, stream "
        "`<job>/algo-<n>-<timestamp>`; log files within the container are not collected.",
        _RUNNING,
        "public logs of real jobs",
    ),
    rule(
        "T-70",
        "SHOULD",
        "A job has at most 40 metrics, with names of at most 255 and regular expressions of at most 500 characters; "
        "the value is the first group. A tab appears as `#011` in CloudWatch.",
        api("MetricDefinition"),
        "public logs of real jobs",
    ),
    rule(
        "T-71",
        "MUST",
        "Hosts find each other as `algo-n`, though perhaps not at once: they have to try again. `/etc/hostname` and "
        "`/etc/hosts` may be wrong. All ports are open among them.",
        _RUNNING,
        when="for several hosts",
    ),
    rule(
        "T-72",
        "SHOULD",
        "A host ends by its own; when one has failed, the job has, and the others are stopped.",
        NOT_DOCUMENTED,
    ),
    rule(
        "T-73",
        "NICE",
        "A heterogeneous cluster has up to 5 instance groups, among which host names are dealt in no fixed order; "
        "channels may be bound to groups.",
        guide_2023("train-heterogeneous-cluster"),
        api("InstanceGroup"),
    ),
    rule(
        "T-74",
        "SHOULD",
        "With network isolation a container calls nobody outside, not even S3, and has no AWS credentials; it still "
        "reaches the job's other hosts, and the platform still copies from and to S3; SSM is off.",
        guide_2023("mkt-algo-model-internet-free"),
        api("CreateTrainingJob"),
    ),
    rule(
        "T-75",
        "MUST",
        "A GPU image has the CUDA toolkit but no driver, and works with nvidia-docker; on CPU hosts "
        "`NVIDIA_VISIBLE_DEVICES` is `void`.",
        _DOCKERFILE,
        IN_REAL_JOB,
        when="for GPU",
    ),
    rule(
        "T-76",
        "SHOULD",
        "The size of /dev/shm is neither documented nor a parameter; users tell of bus errors in PyTorch's workers.",
        issue(_SDK, 5592, 937),
    ),
    rule(
        "T-77",
        "NICE",
        "EFA appears as the devices `/dev/infiniband/uverbs0` to `uverbs3`; its software has to be in the image.",
        guide_2023("your-algorithms-training-efa"),
    ),
    rule(
        "T-78",
        "NICE",
        "Whether PID 1 has a terminal is not clear: one list of processes shows it on `pts/0`, while bash complains in "
        "logs that it has none.",
        IN_REAL_JOB,
    ),
    rule(
        "T-79",
        "NICE",
        "For remote debugging the platform starts an SSM agent in the container, whose target is "
        "`sagemaker-training-job:<job>_algo-<n>`.",
        guide("train-remote-debugging"),
    ),
)
