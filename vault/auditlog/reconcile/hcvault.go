package reconcile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// maxLine is the size of the longest line of an audit device that is read, in bytes. A
// longer one is a [Damage]: a request can be made long on purpose.
const maxLine = 4 << 20

// HCVault returns the calls of a transit engine out of the file of an audit device of
// HashiCorp Vault or OpenBao, in the format "json", with hashed strings or without. The
// name is that of the file, for reports. A request counts when its response is logged.
//
// HashiCorp Vault answers a request once one of its audit devices has written it. Give
// [Run] the files of all devices: it counts each request once.
//
// A line that is no record and a line of more than 4 MB are a [Damage]. A last line that is
// not complete is left out: the server is writing it. A file whose lines are all damaged is
// [ErrFormat].
func HCVault(name string, r io.Reader) Source {
	return func(yield func(Call, error) bool) {
		read := lineReader{bufio.NewReaderSize(r, 64<<10), nil}
		damage := &Damage{File: fileName(name)}
		good := false
		for n := int64(1); ; n++ {
			line, whole, err := read.next()
			switch {
			case err == io.EOF && !good && n > 1:
				yield(Call{}, fmt.Errorf("reconcile: %s: %w", fileName(name), ErrFormat))
				return
			case err == io.EOF:
				return
			case err != nil:
				yield(Call{}, fmt.Errorf("reconcile: reading %s: %w", fileName(name), err))
				return
			}
			fact := "longer than 4 MB"
			if whole {
				if len(bytes.TrimSpace(line)) == 0 {
					continue
				}
				var c Call
				if c, fact = parseHCVault(line); fact == "" {
					good = true
					if !yield(c, nil) {
						return
					}
					continue
				}
			}
			d := *damage
			d.Line, d.Fact = n, fact
			if !yield(Call{}, &d) {
				return
			}
		}
	}
}

// A lineReader reads lines of bounded size.
type lineReader struct {
	r    *bufio.Reader
	long []byte
}

// next returns the next line, and whether it is whole: of a line that is too long it
// returns nothing. A line without an end is io.EOF.
func (l *lineReader) next() (line []byte, whole bool, err error) {
	l.long = l.long[:0]
	size := 0
	for {
		part, err := l.r.ReadSlice('\n')
		size += len(part)
		if err == nil && size == len(part) {
			return part, true, nil
		}
		if size <= maxLine {
			l.long = append(l.long, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
		case err != nil:
			return nil, false, err
		case size > maxLine:
			return nil, false, nil
		default:
			return l.long, true, nil
		}
	}
}

// An hcRecord has the fields of an audit device's record that are compared. Their
// description is at https://developer.hashicorp.com/vault/docs/audit.
type hcRecord struct {
	Time *time.Time `json:"time"`
	Type string     `json:"type"`
	Auth struct {
		DisplayName string            `json:"display_name"`
		Metadata    map[string]string `json:"metadata"`
	} `json:"auth"`
	Request struct {
		ID            string          `json:"id"`
		Operation     string          `json:"operation"`
		Path          string          `json:"path"`
		RemoteAddress string          `json:"remote_address"`
		Data          json.RawMessage `json:"data"`
	} `json:"request"`
	Error string `json:"error"`
}

// parseHCVault returns the call of a line, or the fact that makes the line unreadable.
func parseHCVault(line []byte) (c Call, fact string) {
	// An audit device may be configured to write a prefix, such as "@cee: ".
	if at := bytes.IndexByte(line, '{'); at > 0 && at <= 64 {
		line = line[at:]
	}
	var r hcRecord
	if err := json.Unmarshal(line, &r); err != nil {
		return c, "not a record"
	}
	if r.Time == nil || r.Type != "request" && r.Type != "response" {
		return c, "not a record of an audit device"
	}
	c = Call{Time: *r.Time}
	if r.Type == "request" {
		return c, ""
	}
	c.ID, c.Address, c.Principal = name(r.Request.ID), name(r.Request.RemoteAddress), name(r.Auth.DisplayName)
	for _, field := range []string{"role_name", "role", "service_account_name"} {
		if role := r.Auth.Metadata[field]; role != "" {
			c.Principal = name(c.Principal + " (" + role + ")")
			break
		}
	}
	c.Use, c.Action, c.Keys = transitUse(r.Request.Path, r.Request.Operation)
	if c.Use == Unwrap || c.Use == Wrap {
		var data struct {
			Batch json.RawMessage `json:"batch_input"`
		}
		if err := json.Unmarshal(r.Request.Data, &data); err == nil && data.Batch != nil {
			c.Use, c.Action = Other, c.Action+" of a batch"
		}
	}
	if r.Error != "" {
		c.Refused = "refused"
		if strings.Contains(r.Error, "permission denied") {
			c.Refused = "permission denied"
		}
	}
	return c, ""
}

// transitUse returns the use of a path of a transit engine, its name, and the names of the
// keys that it may be about. Which of them there are, the caller knows: the path of an
// engine can have several parts, and some paths have more behind the name of the key.
func transitUse(path, operation string) (use Use, action string, keys []string) {
	parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	if len(parts) > maxParts {
		parts = parts[:maxParts]
	}
	for i := 1; i < len(parts); i++ {
		mount := strings.Join(parts[:i], "/") + "/keys/"
		for _, key := range parts[i+1:] {
			if key != "" {
				keys = append(keys, mount+key)
			}
		}
	}
	if len(keys) == 0 {
		return None, "", nil
	}
	use, action = Other, operation
	for i := len(parts) - 2; i >= 1; i-- {
		switch verb := parts[i]; {
		case verb == "decrypt" && i == len(parts)-2:
			return Unwrap, verb, []string{strings.Join(parts[:i], "/") + "/keys/" + parts[i+1]}
		case verb == "encrypt" && i == len(parts)-2:
			return Wrap, verb, []string{strings.Join(parts[:i], "/") + "/keys/" + parts[i+1]}
		case verb == "keys" && i == len(parts)-2 && (operation == "read" || operation == "list"),
			verb == "keys" && i == len(parts)-3 && parts[i+2] == "rotate":
			return Look, operation, keys
		}
	}
	return Other, name(strings.Join(parts[1:], "/")), keys
}

// maxParts is more than a path of a transit engine has.
const maxParts = 16
