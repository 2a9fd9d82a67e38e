// Command train is what SageMaker starts to train: `docker run IMAGE train`.
package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"

	"iris/contract"
	"iris/model"
)

const channel = "training"

func main() {
	// A stop, a time limit or a lost spot instance is SIGTERM, then 120 s, then SIGKILL. The training looks at the
	// context after each step and saves what it has; without a handler the kernel keeps SIGTERM from PID 1.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := train(ctx); err != nil {
		contract.Fail(err)
	}
}

func train(ctx context.Context) (err error) {
	defer func() { // a panic is told of in the failure file, too
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n\n%s", cause, debug.Stack())
		}
	}()
	job, err := contract.Read()
	if err != nil {
		return err
	}
	settings, err := read(job.Hyperparameters)
	if err != nil {
		return err
	}
	rows, err := load(job)
	if err != nil {
		return err
	}
	fmt.Printf("%s of %d hosts has %d rows\n", job.Hosts.Current, len(job.Hosts.All), len(rows))

	// 150 flowers are enough work for one host. What the others were dealt they send there, and are done.
	rows, first, err := gather(ctx, job, rows)
	switch {
	case ctx.Err() != nil:
		fmt.Println("stopped before the first step")
		return nil
	case err != nil || !first:
		return err
	}
	return learn(ctx, settings, rows)
}

// settings are the hyperparameters, as numbers.
type settings struct {
	epochs, logEpochs int
	rate              float64
}

func read(given contract.Hyperparameters) (settings, error) {
	epochs, err1 := given.Int("epochs", 2000)
	logEpochs, err2 := given.Int("log-epochs", 200)
	rate, err3 := given.Float("learning-rate", 0.1)
	return settings{epochs, logEpochs, rate}, errors.Join(err1, err2, err3)
}

// load reads all rows that this host has. With ShardedByS3Key and more hosts than files these may be none.
func load(job contract.Job) ([]model.Row, error) {
	about, there := job.Channels[channel]
	if !there {
		return nil, fmt.Errorf("there is no channel %q", channel)
	}
	if about.Mode == "Pipe" {
		return nil, fmt.Errorf("channel %q is in Pipe mode; this program reads files: File or FastFile", channel)
	}
	paths, err := contract.Files(channel)
	if err != nil {
		return nil, err
	}
	var all []model.Row
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		rows, err := model.ReadCSV(file, true)
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, rows...)
	}
	return all, nil
}

func learn(ctx context.Context, settings settings, rows []model.Row) error {
	m, err := model.New(rows)
	if err != nil {
		return fmt.Errorf("channel %q: %w", channel, err)
	}
	// Every fifth flower is kept to see what was learnt.
	var known, unseen []model.Row
	for i, row := range rows {
		if i%5 == 4 {
			unseen = append(unseen, row)
		} else {
			known = append(known, row)
		}
	}
	if len(unseen) == 0 {
		unseen = known
	}

	// What lies in /opt/ml/checkpoints is kept in S3 all the while, and is there again when a spot job is restarted.
	checkpoint := filepath.Join(contract.Checkpoints, "model.json")
	if saved, err := model.Load(checkpoint); err == nil && slices.Equal(saved.Classes, m.Classes) {
		m = saved
		fmt.Printf("resumed from the checkpoint of epoch=%d\n", m.Epoch)
	} else if !errors.Is(err, os.ErrNotExist) {
		fmt.Printf("%s is not taken: of other classes, or broken (%v)\n", checkpoint, err)
	}
	if err := os.MkdirAll(contract.Checkpoints, 0o755); err != nil {
		return err
	}

	for m.Epoch < settings.epochs && ctx.Err() == nil {
		loss := m.Step(known, settings.rate)
		if math.IsNaN(loss) {
			return fmt.Errorf("the loss is no number after %d steps: take a smaller learning-rate", m.Epoch)
		}
		if m.Epoch%settings.logEpochs == 0 || m.Epoch == settings.epochs {
			// byoc.toml and the job's MetricDefinitions read this line. Go's stdout has no buffer: it is seen at once.
			fmt.Printf("epoch=%d loss=%.4f accuracy=%.4f\n", m.Epoch, loss, m.Accuracy(unseen))
			if err := m.Save(checkpoint); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		fmt.Printf("stopped after epoch=%d, saving\n", m.Epoch)
		if err := m.Save(checkpoint); err != nil {
			return err
		}
	}
	return m.Save(filepath.Join(contract.Model, "model.json"))
}
