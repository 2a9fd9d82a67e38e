// Package contract is what SageMaker gives a training container, and how the container tells why it failed.
// In another language it is as short: three JSON files and one text file.
package contract

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// The folders of a container. All of them are there before `train` starts; `serve` has Model, read-only.
const (
	root        = "/opt/ml"
	Model       = root + "/model"
	Checkpoints = root + "/checkpoints"
	failure     = root + "/output/failure"
)

// Hyperparameters are always strings, numbers too: {"epochs": "2000"}.
type Hyperparameters map[string]string

// Int gives a whole number of at least 1, or the fallback where there is none of that name.
func (h Hyperparameters) Int(name string, fallback int) (int, error) {
	text, given := h[name]
	if !given {
		return fallback, nil
	}
	value, err := strconv.Atoi(text)
	if err != nil || value < 1 {
		return 0, fmt.Errorf("hyperparameter %s is %q, not a whole number above 0", name, text)
	}
	return value, nil
}

// Float gives a number above 0, or the fallback where there is none of that name.
func (h Hyperparameters) Float(name string, fallback float64) (float64, error) {
	text, given := h[name]
	if !given {
		return fallback, nil
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || !(value > 0) {
		return 0, fmt.Errorf("hyperparameter %s is %q, not a number above 0", name, text)
	}
	return value, nil
}

// Channel is what is said of one channel; there is more, which has to be passed over.
type Channel struct {
	Mode         string `json:"TrainingInputMode"`  // File, also where it is FastFile, or Pipe
	Distribution string `json:"S3DistributionType"` // FullyReplicated: each host has all; ShardedByS3Key: its share
}

// Hosts are those of this job, by their names: algo-1, algo-2, … No host knows its own name in any other way.
type Hosts struct {
	Current string   `json:"current_host"`
	All     []string `json:"hosts"` // in the same order on each host
}

// Job is all that the platform says.
type Job struct {
	Hyperparameters Hyperparameters
	Channels        map[string]Channel
	Hosts           Hosts
}

// Read reads /opt/ml/input/config.
func Read() (job Job, err error) {
	for name, into := range map[string]any{
		"hyperparameters.json": &job.Hyperparameters,
		"inputdataconfig.json": &job.Channels,
		"resourceconfig.json":  &job.Hosts,
	} {
		path := filepath.Join(root, "input/config", name)
		text, err := os.ReadFile(path)
		if err != nil {
			return job, err
		}
		if err := json.Unmarshal(text, into); err != nil {
			return job, fmt.Errorf("%s: %w", path, err)
		}
	}
	return job, nil
}

// Files lists the CSV files of a channel, in all its folders. Only the channel's own folder is looked into: beside it
// lies its manifest, and the other channels.
func Files(channel string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(filepath.Join(root, "input/data", channel), func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == ".csv" {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

// Fail writes why the job failed to where SageMaker looks for it, and to the log. The cause comes first: of the file
// 1,024 characters become the job's FailureReason.
func Fail(cause error) {
	fmt.Fprintln(os.Stderr, "error:", cause)
	if err := os.WriteFile(failure, []byte(cause.Error()+"\n"), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	os.Exit(1)
}
