package reconcile

import (
	"cmp"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// maxRecord is the size of the largest record of CloudTrail that is read, in bytes. AWS
// writes none of more than 256 kB.
const maxRecord = 1 << 20

// CloudTrail returns the calls of AWS KMS out of the records of CloudTrail, as they are
// delivered to a bucket: all files under fsys whose names end in ".json" or ".json.gz", in
// the order of the times in their names. Folders of digests and insights are left out.
//
// A file that ends too early, such as a gzip file that was cut off, a record of more than
// 1 MB and a file that is not of this format are a [Damage]; the rest of the file is not
// read. No readable file at all is [ErrFormat].
func CloudTrail(fsys fs.FS) Source {
	return func(yield func(Call, error) bool) {
		if fsys == nil {
			yield(Call{}, fmt.Errorf("reconcile: no files: %w", ErrArgument))
			return
		}
		names, err := trailFiles(fsys)
		if err != nil {
			yield(Call{}, fmt.Errorf("reconcile: listing files of CloudTrail: %w", err))
			return
		}
		good := false
		for _, file := range names {
			t := trailFile{name: file, yield: yield}
			err := t.read(fsys)
			switch damage := new(Damage); {
			case err == nil:
				good = true
			case errors.Is(err, errStopped):
				return
			case errors.As(err, &damage):
				good = good || damage.Line > 1
				if !yield(Call{}, damage) {
					return
				}
			default:
				yield(Call{}, fmt.Errorf("reconcile: reading %s: %w", fileName(file), err))
				return
			}
		}
		if !good {
			yield(Call{}, fmt.Errorf("reconcile: no records of CloudTrail: %w", ErrFormat))
		}
	}
}

// errStopped ends a source whose reader has stopped.
var errStopped = errors.New("stopped")

// trailTime is the time of delivery in the name of a file.
var trailTime = regexp.MustCompile(`_([0-9]{8}T[0-9]{4}Z)_`)

// trailFiles returns the names of the files, in the order of their times of delivery.
func trailFiles(fsys fs.FS) ([]string, error) {
	type file struct{ time, name string }
	var all []file
	err := fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "CloudTrail-Digest" || e.Name() == "CloudTrail-Insight"):
			return fs.SkipDir
		case !e.IsDir() && (strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".json.gz")):
			at := ""
			if m := trailTime.FindStringSubmatch(path.Base(name)); m != nil {
				at = m[1]
			}
			all = append(all, file{at, name})
		}
		return nil
	})
	slices.SortFunc(all, func(a, b file) int {
		return cmp.Or(strings.Compare(a.time, b.time), strings.Compare(a.name, b.name))
	})
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = f.name
	}
	return names, err
}

// A trailFile is one file of records.
type trailFile struct {
	name  string
	n     int64 // of the record that is read
	yield func(Call, error) bool
}

func (t *trailFile) damage(fact string) error {
	return &Damage{File: fileName(t.name), Line: t.n, Fact: fact}
}

func (t *trailFile) read(fsys fs.FS) error {
	f, err := fsys.Open(t.name)
	if err != nil {
		return err
	}
	defer f.Close()
	m := &meter{r: f, left: maxRecord}
	if strings.HasSuffix(t.name, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return t.fact(m, err)
		}
		m.r = z
	}
	d := json.NewDecoder(m)
	if err := toRecords(d, m); err != nil {
		return t.fact(m, err)
	}
	for d.More() {
		t.n++
		var r trailRecord
		if err := d.Decode(&r); err != nil {
			return t.fact(m, err)
		}
		m.left = maxRecord
		c, ok := r.call()
		if !ok {
			return t.damage("not a record of CloudTrail")
		}
		if !t.yield(c, nil) {
			return errStopped
		}
	}
	// The end of the list, of the object, and of the compressed data with its checksum.
	for range 2 {
		if _, err := d.Token(); err != nil {
			return t.fact(m, err)
		}
	}
	if _, err := d.Token(); err != io.EOF {
		return t.fact(m, cmp.Or(err, errors.New("more")))
	}
	return nil
}

// fact returns the damage that an error of the decoder or of its reader stands for, or an
// error of the system.
func (t *trailFile) fact(m *meter, err error) error {
	var system *fs.PathError
	switch {
	case errors.As(err, &system), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case m.left <= 0:
		return t.damage("longer than 1 MB")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return t.damage("ends too early")
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return t.damage("not valid gzip data")
	}
	return t.damage("not a file of CloudTrail")
}

// toRecords reads up to the list of records.
func toRecords(d *json.Decoder, m *meter) error {
	notRecords := errors.New("no records")
	if at, err := d.Token(); err != nil || at != json.Delim('{') {
		return cmp.Or(err, notRecords)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		if key == "Records" {
			if at, err := d.Token(); err != nil || at != json.Delim('[') {
				return cmp.Or(err, notRecords)
			}
			return nil
		}
		var other json.RawMessage
		if err := d.Decode(&other); err != nil {
			return err
		}
		m.left = maxRecord
	}
	return notRecords
}

// A meter bounds the bytes that are read for one record.
type meter struct {
	r    io.Reader
	left int
}

func (m *meter) Read(b []byte) (int, error) {
	if m.left <= 0 {
		return 0, io.ErrShortBuffer
	}
	n, err := m.r.Read(b[:min(len(b), m.left)])
	m.left -= n
	return n, err
}

// A trailRecord has the fields of a record that are compared. Their description is at
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html,
// and the fields of each operation are at https://docs.aws.amazon.com/kms/latest/developerguide/logging-using-cloudtrail.html.
type trailRecord struct {
	EventTime   *time.Time      `json:"eventTime"`
	EventID     string          `json:"eventID"`
	EventSource string          `json:"eventSource"`
	EventName   string          `json:"eventName"`
	ErrorCode   string          `json:"errorCode"`
	SourceIP    string          `json:"sourceIPAddress"`
	Parameters  json.RawMessage `json:"requestParameters"`
	Identity    struct {
		Type        string `json:"type"`
		ARN         string `json:"arn"`
		PrincipalID string `json:"principalId"`
		InvokedBy   string `json:"invokedBy"`
	} `json:"userIdentity"`
	Resources []struct {
		ARN string `json:"ARN"`
	} `json:"resources"`
}

// A trailParameters has the parameters of an operation of AWS KMS.
type trailParameters struct {
	KeyID   string            `json:"keyId"`
	Context map[string]string `json:"encryptionContext"`
}

// call returns the call of a record. It reports whether there is one.
func (r *trailRecord) call() (Call, bool) {
	if r.EventTime == nil || r.EventSource == "" || r.EventName == "" {
		return Call{}, false
	}
	c := Call{Time: *r.EventTime, Within: time.Second, Contexts: true}
	if r.EventSource != "kms.amazonaws.com" {
		return c, true
	}
	c.ID, c.Action, c.Address, c.Refused = name(r.EventID), name(r.EventName), name(r.SourceIP), name(r.ErrorCode)
	c.Principal = name(cmp.Or(r.Identity.ARN, r.Identity.InvokedBy, r.Identity.PrincipalID, r.Identity.Type))
	switch n := r.EventName; {
	case n == "Decrypt":
		c.Use = Unwrap
	case n == "Encrypt":
		c.Use = Wrap
	case strings.HasPrefix(n, "Describe"), strings.HasPrefix(n, "Get"), strings.HasPrefix(n, "List"), n == "RotateKey", n == "RotateKeyOnDemand":
		c.Use = Look
	default:
		c.Use = Other
	}
	var p trailParameters
	if err := json.Unmarshal(r.Parameters, &p); err == nil {
		if p.KeyID != "" {
			c.Keys = append(c.Keys, name(p.KeyID))
		}
		c.Purpose, c.Vault = boundTo(p.Context)
	}
	for i := range r.Resources[:min(len(r.Resources), maxParts)] {
		if arn := name(r.Resources[i].ARN); arn != "" && !slices.Contains(c.Keys, arn) {
			c.Keys = append(c.Keys, arn)
		}
	}
	return c, true
}

// boundTo returns the purpose and the vault in an encryption context. Tink writes the
// associated data of a KEK into it, in hexadecimal.
func boundTo(context map[string]string) (purpose, vault string) {
	for _, field := range []string{"associatedData", "additionalData"} {
		text, err := hex.DecodeString(context[field])
		if err != nil {
			continue
		}
		if parts := strings.Split(string(text), " "); len(parts) == 4 && parts[0] == "onlyfor" && parts[1] == "purpose-keys" {
			return name(parts[2]), name(parts[3])
		}
	}
	return "", ""
}
