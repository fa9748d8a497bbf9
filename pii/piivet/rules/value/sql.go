package value

import (
	"slices"
	"strings"
)

// A placeholder is the position of an argument in a query.
type placeholder struct {
	n        int    // index of the argument; -1 if it has a name
	name     string // of :name and @name
	compared bool   // the argument is compared, and not stored
}

// A clause is the kind of clause that a lexeme is in.
type clause int

const (
	other  clause = iota // a select list, an order, a table
	cond                 // WHERE, HAVING, ON, WHEN
	assign               // SET column = …
	value                // in the expression that is assigned
	insert               // VALUES (…)
)

// scanQuery returns the placeholders of an SQL query, or of a part of one that begins in
// the given clause. It is independent of the dialect: the clause and the operator before
// a placeholder tell whether the argument is compared. Complete is false if the query has
// an [unknown] part that the number of a placeholder depends on.
func scanQuery(query string, begin clause) (found []placeholder, complete bool) {
	lexemes := lex(query)
	numbered := slices.ContainsFunc(lexemes, func(t lexeme) bool { return t.kind == numberedLexeme })
	s := scanner{frames: []frame{{clause: begin}}}
	complete = true
	unclear := false
	next := 0
	for i, t := range lexemes {
		switch t.kind {
		case questionLexeme:
			if numbered {
				continue // PostgreSQL's operator on JSON
			}
			complete = complete && !unclear
			s.add(placeholder{n: next})
			next++
		case numberedLexeme:
			s.add(placeholder{n: t.number - 1})
		case namedLexeme:
			s.add(placeholder{n: -1, name: t.text})
		case unknownLexeme:
			unclear = true
			s.word("", nil)
		case wordLexeme:
			s.word(t.text, lexemes[i+1:])
		case quotedLexeme:
			s.column(t.text)
		case operatorLexeme:
			s.operator(t.text)
		}
	}
	return s.found, complete
}

// A frame is a level of parentheses, or of CASE.
type frame struct {
	clause   clause
	outer    clause // of CASE
	isCase   bool
	compares bool     // the last operator compares
	last     string   // the last word that may be a column
	assigned []string // columns, before a WHERE of the same UPDATE
}

type scanner struct {
	frames   []frame
	found    []placeholder
	previous string // keyword
}

func (s *scanner) top() *frame { return &s.frames[len(s.frames)-1] }

func (s *scanner) add(p placeholder) {
	f := s.top()
	// Compare-and-swap, UPDATE … SET email = ? WHERE id = ? AND email = ?, compares with
	// the seal that was read.
	swap := f.clause == cond && slices.Contains(f.assigned, f.last)
	p.compared = (f.clause == cond || f.compares && f.clause != assign) && !swap
	s.found = append(s.found, p)
}

func (s *scanner) column(name string) { s.top().last = strings.ToLower(name) }

// A move is the effect of a keyword on the clause of the present frame.
type move func(s *scanner, f *frame, word, previous string, rest []lexeme)

// to moves to a clause in which nothing is compared yet.
func to(c clause) move {
	return func(_ *scanner, f *frame, _, _ string, _ []lexeme) { f.clause, f.compares = c, false }
}

// keywords are the keywords that move, and those that do nothing.
var keywords = map[string]move{}

func init() {
	for words, m := range map[string]move{
		"SELECT FROM JOIN USING RETURNING GROUP ORDER LIMIT OFFSET INTO UNION EXCEPT INTERSECT WINDOW": toOther,
		"WHERE HAVING WHEN": to(cond),
		"ON":                on,
		"SET":               to(assign),
		"UPDATE":            update,
		"VALUES VALUE":      values,
		"CASE":              caseOf,
		"THEN ELSE":         then,
		"END":               end,
		"LIKE ILIKE IN BETWEEN SIMILAR REGEXP RLIKE DISTINCT": compares,
		"AND OR AS": and,
		"NOT IS NULL ANY ALL SOME LOWER UPPER TRIM COALESCE BINARY COLLATE EXISTS": func(*scanner, *frame, string, string, []lexeme) {},
	} {
		for word := range strings.FieldsSeq(words) {
			keywords[word] = m
		}
	}
}

func toOther(_ *scanner, f *frame, word, previous string, _ []lexeme) {
	// IS DISTINCT FROM, EXTRACT(… FROM …)
	if word == "FROM" && (previous == "DISTINCT" && f.compares || f.clause == value) {
		return
	}
	f.clause, f.compares = other, false
	if word == "SELECT" {
		f.assigned = nil
	}
}

func on(_ *scanner, f *frame, _, _ string, rest []lexeme) {
	f.clause, f.compares = cond, false
	if len(rest) > 0 && (strings.EqualFold(rest[0].text, "CONFLICT") || strings.EqualFold(rest[0].text, "DUPLICATE")) {
		f.clause = other
	}
}

func update(_ *scanner, f *frame, _, previous string, _ []lexeme) {
	if previous == "KEY" { // ON DUPLICATE KEY UPDATE
		f.clause, f.compares = assign, false
	}
}

func values(_ *scanner, f *frame, _, _ string, _ []lexeme) {
	if f.clause != assign { // MariaDB's VALUES(column)
		f.clause, f.compares = insert, false
	}
}

func caseOf(s *scanner, f *frame, _, _ string, _ []lexeme) {
	s.frames = append(s.frames, frame{clause: f.clause, outer: f.clause, isCase: true})
}

func then(_ *scanner, f *frame, _, _ string, _ []lexeme) {
	if !f.isCase {
		f.clause, f.compares = other, false // MERGE … WHEN MATCHED THEN UPDATE SET
		return
	}
	f.clause, f.compares = f.outer, false
	if f.clause == assign {
		f.clause = value
	}
}

func end(s *scanner, f *frame, _, _ string, _ []lexeme) {
	if f.isCase && len(s.frames) > 1 {
		s.frames = s.frames[:len(s.frames)-1]
	}
}

func compares(_ *scanner, f *frame, word, previous string, _ []lexeme) {
	f.compares = word != "DISTINCT" || previous == "IS" || previous == "NOT"
}

func and(_ *scanner, f *frame, word, _ string, _ []lexeme) {
	f.compares = word == "AND" && f.compares && f.clause == value
}

// word handles a keyword. Other words are columns, tables and functions.
func (s *scanner) word(text string, rest []lexeme) {
	f := s.top()
	word := strings.ToUpper(text)
	previous := s.previous
	s.previous = word
	if m := keywords[word]; m != nil {
		m(s, f, word, previous, rest)
		return
	}
	f.last = strings.ToLower(text)
}

func (s *scanner) operator(op string) {
	f := s.top()
	s.previous = ""
	switch op {
	case "(":
		inner := frame{clause: f.clause, compares: f.compares && f.clause != assign, last: f.last}
		switch inner.clause {
		case assign:
			inner.clause = value
		case cond:
			inner.assigned = f.assigned
		}
		s.frames = append(s.frames, inner)
	case ")":
		for len(s.frames) > 1 {
			closed := s.top().isCase
			last := s.top().last
			s.frames = s.frames[:len(s.frames)-1]
			if !closed {
				if s.top().last == "" || s.top().clause == cond && !s.top().compares {
					s.top().last = last // WHERE lower(email) = ?
				}
				break
			}
		}
	case ",":
		if f.clause != cond {
			f.compares = f.compares && len(s.frames) > 1 && f.clause == value
			if len(s.frames) == 1 {
				f.compares = false
			}
		}
	case ";":
		s.frames = s.frames[:1]
		s.frames[0] = frame{}
	case "=", "==", "<>", "!=", "<", ">", "<=", ">=", "<=>":
		if f.clause == assign {
			if op == "=" {
				f.assigned = append(f.assigned, f.last)
			}
			return
		}
		f.compares = true
	}
}
