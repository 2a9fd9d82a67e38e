// Package model is what learns: here a softmax regression, which tells three kinds of iris apart. Put yours here.
package model

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Row is one flower: its kind, "" where that is asked for, and its measures.
type Row struct {
	Label  string
	Values []float64
}

// Model has for each class its weights: the bias, then one for each measure.
type Model struct {
	Epoch   int         `json:"epoch"` // so many steps were made
	Classes []string    `json:"classes"`
	Weights [][]float64 `json:"weights"`
}

// Columns are the measures of a flower, in cm.
var Columns = []string{"sepal_length", "sepal_width", "petal_length", "petal_width"}

// ReadCSV reads rows, with the label in the last column where they are labelled. A heading is passed over.
func ReadCSV(from io.Reader, labelled bool) ([]Row, error) {
	records, err := csv.NewReader(from).ReadAll()
	if err != nil {
		return nil, err
	}
	width := len(Columns)
	if labelled {
		width++
	}
	var rows []Row
	for i, record := range records {
		if len(record) != width {
			return nil, fmt.Errorf("row %d has %d columns, not %d", i+1, len(record), width)
		}
		if i == 0 && record[0] == Columns[0] {
			continue
		}
		row := Row{Values: make([]float64, len(Columns))}
		for column := range Columns {
			text := strings.TrimSpace(record[column])
			value, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
				return nil, fmt.Errorf("row %d: %q is not a number", i+1, text)
			}
			row.Values[column] = value
		}
		if labelled {
			row.Label = record[width-1]
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// New makes a model that has learnt nothing, for the classes of the rows.
func New(rows []Row) (*Model, error) {
	if len(rows) == 0 {
		return nil, errors.New("there are no rows to learn from")
	}
	m := &Model{}
	for _, row := range rows {
		m.Classes = append(m.Classes, row.Label)
	}
	slices.Sort(m.Classes)
	m.Classes = slices.Compact(m.Classes)
	for range m.Classes {
		m.Weights = append(m.Weights, make([]float64, 1+len(Columns)))
	}
	return m, nil
}

// Step goes one step down the gradient of the mean loss, and gives the loss that there was before.
func (m *Model) Step(rows []Row, rate float64) float64 {
	loss := 0.0
	gradient := make([][]float64, len(m.Classes))
	for class := range gradient {
		gradient[class] = make([]float64, len(m.Weights[class]))
	}
	for _, row := range rows {
		for class, probability := range m.probabilities(row.Values) {
			if m.Classes[class] == row.Label {
				loss -= math.Log(math.Max(probability, 1e-300))
				probability--
			}
			gradient[class][0] += probability
			for i, value := range row.Values {
				gradient[class][i+1] += probability * value
			}
		}
	}
	count := float64(len(rows))
	for class, weights := range m.Weights {
		for i := range weights {
			weights[i] -= rate * gradient[class][i] / count
		}
	}
	m.Epoch++
	return loss / count
}

// Accuracy is the share of the rows whose label is the likeliest class.
func (m *Model) Accuracy(rows []Row) float64 {
	right := 0
	for _, row := range rows {
		if m.Likeliest(m.probabilities(row.Values)) == row.Label {
			right++
		}
	}
	return float64(right) / float64(len(rows))
}

// Likeliest names the class with the largest probability.
func (m *Model) Likeliest(probabilities []float64) string {
	best := 0
	for class, probability := range probabilities {
		if probability > probabilities[best] {
			best = class
		}
	}
	return m.Classes[best]
}

// Predict gives the probability of each class for the measures of a flower.
func (m *Model) Predict(values []float64) ([]float64, error) {
	if len(values) != len(Columns) {
		return nil, fmt.Errorf("%d values, not %d: %s", len(values), len(Columns), strings.Join(Columns, ", "))
	}
	probabilities := m.probabilities(values)
	if slices.ContainsFunc(probabilities, math.IsNaN) {
		return nil, errors.New("its values are too large")
	}
	return probabilities, nil
}

func (m *Model) probabilities(values []float64) []float64 {
	scores := make([]float64, len(m.Classes))
	for class, weights := range m.Weights {
		scores[class] = weights[0]
		for i, value := range values {
			scores[class] += weights[i+1] * value
		}
	}
	highest, sum := slices.Max(scores), 0.0
	for class, score := range scores {
		scores[class] = math.Exp(score - highest)
		sum += scores[class]
	}
	for class := range scores {
		scores[class] /= sum
	}
	return scores
}

// Save writes the model as a whole or not at all: a checkpoint is uploaded whenever it changes.
func (m *Model) Save(path string) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".part", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

// Load reads what Save has written.
func Load(path string) (*Model, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &Model{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	wrong := func(weights []float64) bool { return len(weights) != 1+len(Columns) }
	if len(m.Classes) == 0 || len(m.Weights) != len(m.Classes) || slices.ContainsFunc(m.Weights, wrong) {
		return nil, fmt.Errorf("%s is not a model of these columns", path)
	}
	return m, nil
}
