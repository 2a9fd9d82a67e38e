// Command serve is what SageMaker starts to serve: `docker run IMAGE serve`.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"iris/contract"
	"iris/model"
)

const (
	asCSV  = "text/csv"
	asJSON = "application/json"
	// An endpoint sends 25 MB at most, a batch job 100 MB.
	largest = 100 << 20
)

func main() {
	if err := serve(); err != nil {
		log.Fatalln("error:", err)
	}
}

func serve() error {
	// Before it listens: what answers /ping has its model. The folder is read-only, and nothing is written elsewhere.
	m, err := model.Load(filepath.Join(contract.Model, "model.json"))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ping", func(http.ResponseWriter, *http.Request) {}) // 200; not in the log: it comes every few seconds
	mux.HandleFunc("POST /invocations", func(w http.ResponseWriter, r *http.Request) { invoke(m, w, r) })
	// Each connection has its goroutine: /ping is answered beside any number of requests.
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, IdleTimeout: 2 * time.Minute}

	// 8080, but for a container in a pipeline or of a multi-container endpoint (the label accept-bind-to-port).
	port := os.Getenv("SAGEMAKER_BIND_TO_PORT")
	if port == "" {
		port = "8080"
	}
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	log.Println("listening on port", port)

	// The end is SIGTERM, then 30 s, then SIGKILL: no new connections, and what has begun is answered.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ended := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), 25*time.Second)
		defer cancel()
		ended <- server.Shutdown(grace)
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ended
}

// invoke answers one request: rows in CSV or JSON, and predictions in what Accept asks for.
func invoke(m *model.Model, w http.ResponseWriter, r *http.Request) {
	given, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largest))
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		refuse(w, status, err)
		return
	}
	wanted, ok := answerType(r.Header.Get("Accept"), given)
	if !ok {
		refuse(w, http.StatusNotAcceptable, fmt.Errorf("Accept is %q, not %s or %s", r.Header.Get("Accept"), asCSV, asJSON))
		return
	}
	var rows [][]float64
	switch given {
	case asCSV:
		rows, err = fromCSV(body)
	case asJSON:
		rows, err = fromJSON(body)
	default:
		refuse(w, http.StatusUnsupportedMediaType, fmt.Errorf("Content-Type is %q, not %s or %s", given, asCSV, asJSON))
		return
	}
	if err == nil && len(rows) == 0 {
		err = errors.New("there are no rows")
	}
	predictions := make([]prediction, len(rows))
	for i := 0; i < len(rows) && err == nil; i++ {
		var probabilities []float64
		if probabilities, err = m.Predict(rows[i]); err != nil {
			err = fmt.Errorf("row %d: %w", i+1, err)
			break
		}
		predictions[i] = prediction{m.Likeliest(probabilities), probabilities}
	}
	if err != nil { // the caller's fault is 4xx: 5xx would be tried again
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if wanted == asJSON {
		answer(w, http.StatusOK, map[string]any{"predictions": predictions})
		return
	}
	w.Header().Set("Content-Type", asCSV)
	for _, each := range predictions {
		fmt.Fprintln(w, each.Class)
	}
}

type prediction struct {
	Class         string    `json:"class"`
	Probabilities []float64 `json:"probabilities"` // in the order of the model's classes
}

// answerType chooses what is answered: the first of Accept that is known; as the request came, if all is the same.
func answerType(accept, given string) (string, bool) {
	if accept == "" {
		accept = "*/*"
	}
	for _, each := range strings.Split(accept, ",") {
		kind, _, _ := mime.ParseMediaType(each)
		switch {
		case kind == asCSV || kind == asJSON:
			return kind, true
		case strings.HasSuffix(kind, "/*") && given == asCSV:
			return asCSV, true
		case strings.HasSuffix(kind, "/*"):
			return asJSON, true
		}
	}
	return "", false
}

func fromCSV(body []byte) ([][]float64, error) {
	rows, err := model.ReadCSV(bytes.NewReader(body), false)
	values := make([][]float64, len(rows))
	for i, row := range rows {
		values[i] = row.Values
	}
	return values, err
}

// fromJSON reads {"instances": [[6.3, 2.9, 5.0, 1.7], …]}.
func fromJSON(body []byte) ([][]float64, error) {
	var request struct{ Instances [][]*float64 } // pointers: a null is no 0
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, fmt.Errorf(`{"instances": [[6.3, 2.9, 5.0, 1.7], …]} is wanted: %w`, err)
	}
	rows := make([][]float64, len(request.Instances))
	for i, instance := range request.Instances {
		for _, value := range instance {
			if value == nil {
				return nil, fmt.Errorf("row %d: null is not a number", i+1)
			}
			rows[i] = append(rows[i], *value)
		}
	}
	return rows, nil
}

func refuse(w http.ResponseWriter, status int, cause error) {
	log.Println(status, cause)
	answer(w, status, map[string]string{"error": cause.Error()})
}

func answer(w http.ResponseWriter, status int, content any) {
	text, err := json.Marshal(content)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error": "the answer cannot be written as JSON"}`)
		log.Println(status, err)
	}
	w.Header().Set("Content-Type", asJSON)
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
}
