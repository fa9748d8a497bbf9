package main

import (
	"context"
	"os"
	"testing"
)

func Example() {
	dir, err := os.MkdirTemp("", "onlyfor-quickstart-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := run(context.Background(), dir); err != nil {
		panic(err)
	}
	// Output:
	// printed:              pii.Email(security)
	// opened for security:  Alice@example.com <nil>
	// opened for ads:       "" pii: revealing email: collected for security, not advertising
	// found at sign-in:     true <nil>
	// found by advertisers: false <nil>
}

// A directory for keys that can't be made is the error of the program.
func TestRunWithoutKeys(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), file); err == nil {
		t.Fatal("no error over a file in place of the directory")
	}
}
