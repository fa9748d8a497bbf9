package main

import (
	"bytes"
	_ "embed"
)

// The people of the samples do not exist. RFC 2606 and RFC 6761 reserve their domains,
// and regulators keep their numbers for fiction. Some lines are wrong on purpose.
var (
	//go:embed sample/users.csv
	usersCSV []byte
	//go:embed sample/list.jsonl
	listJSON []byte
)

func sampleUsers() source { return embedded("sample/users.csv", usersCSV) }

func sampleList() source { return embedded("sample/list.jsonl", listJSON) }

func embedded(name string, data []byte) source {
	return source{name, int64(bytes.Count(data, []byte("\n"))), func(yield func(person, error) bool) {
		readPeople(name, bytes.NewReader(data))(yield)
	}}
}
