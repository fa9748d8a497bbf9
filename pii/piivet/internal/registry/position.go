package registry

import (
	"cmp"
	"path/filepath"
	"strconv"
	"strings"
)

// byPosition orders file:line by file, then by line.
func byPosition(a, b string) int {
	fileA, lineA := position(a)
	fileB, lineB := position(b)
	return cmp.Or(strings.Compare(fileA, fileB), lineA-lineB)
}

func position(at string) (file string, line int) {
	colon := strings.LastIndexByte(at, ':')
	if colon < 0 {
		return at, 0
	}
	line, _ = strconv.Atoi(at[colon+1:])
	return at[:colon], line
}

// RelativeTo makes the names of all files below dir relative to dir, so that the output
// does not depend on the machine.
func (r *Registry) RelativeTo(dir string) {
	rel := func(at *string) {
		file, _ := position(*at)
		if short, err := filepath.Rel(dir, file); err == nil && !strings.HasPrefix(short, "..") {
			*at = filepath.ToSlash(short) + (*at)[len(file):]
		}
	}
	uses := func(all []Use) {
		for i := range all {
			for j := range all[i].At {
				rel(&all[i].At[j])
			}
		}
	}
	for i := range r.Purposes {
		uses(r.Purposes[i].Uses)
		for j := range r.Purposes[i].Declared {
			rel(&r.Purposes[i].Declared[j].At)
		}
	}
	uses(r.Unknown)
	for i := range r.Exceptions {
		rel(&r.Exceptions[i].At)
	}
}
