package main

import (
	"context"
	"encoding/gob"
	"fmt"
	"net"
	"time"

	"iris/contract"
	"iris/model"
)

const (
	port     = "7777"           // between the hosts of a job all ports are open
	patience = 15 * time.Minute // instances of a job do not start at the same time
)

// share is what a host was dealt of the data.
type share struct {
	Host string
	Rows []model.Row
}

// gather gives the first host the rows of all, where each has only its share, and says which host is the first.
func gather(ctx context.Context, job contract.Job, rows []model.Row) ([]model.Row, bool, error) {
	hosts := job.Hosts
	first := hosts.Current == hosts.All[0]
	if len(hosts.All) == 1 || job.Channels[channel].Distribution != "ShardedByS3Key" {
		return rows, first, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !first {
		return nil, false, send(ctx, hosts.All[0], share{hosts.Current, rows})
	}
	others, err := receive(ctx, hosts.All[1:])
	return append(rows, others...), true, err
}

func receive(ctx context.Context, missing []string) ([]model.Row, error) {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()

	shares := map[string][]model.Row{}
	for len(shares) < len(missing) {
		connection, err := listener.Accept()
		if err != nil {
			return nil, fmt.Errorf("%d of %d hosts sent their rows within %s: %w", len(shares), len(missing), patience, err)
		}
		var got share
		connection.SetDeadline(time.Now().Add(time.Minute))
		if err := gob.NewDecoder(connection).Decode(&got); err == nil {
			shares[got.Host] = got.Rows
			fmt.Printf("%s sent %d rows\n", got.Host, len(got.Rows))
			connection.Write([]byte{1})
		}
		connection.Close()
	}
	var rows []model.Row
	for _, host := range missing { // in this order, and not as they came: the same job learns the same model
		rows = append(rows, shares[host]...)
	}
	return rows, nil
}

// send tries until the first host is there: at the start its name may not even be known.
func send(ctx context.Context, to string, mine share) error {
	for {
		err := sendOnce(to, mine)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not take the rows of %s: %w", to, mine.Host, err)
		case <-time.After(time.Second):
		}
	}
}

func sendOnce(to string, mine share) error {
	connection, err := net.DialTimeout("tcp", net.JoinHostPort(to, port), 5*time.Second)
	if err != nil {
		return err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(time.Minute))
	if err := gob.NewEncoder(connection).Encode(mine); err != nil {
		return err
	}
	_, err = connection.Read(make([]byte, 1)) // it has them
	return err
}
