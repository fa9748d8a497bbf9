package adopt

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A Comparison is a condition of a query on a column that looks like personal data.
type Comparison struct {
	Column string
	Kind   Kind
	// Tables are the tables that the column may belong to: the table that qualifies the
	// column, directly or by an alias, or else all tables of the query.
	Tables []string
	// Argument is the index of the query argument that the column is compared with, -1 if
	// it is compared with another expression.
	Argument int
}

var (
	comment  = regexp.MustCompile(`(?s)--[^\n]*|/\*.*?\*/`)
	template = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	setList  = regexp.MustCompile(`(?is)\bset\b.*?(\bwhere\b|\bfrom\b|\breturning\b|$)`)
	argument = regexp.MustCompile(`\$\d+|\?|[:@]\w+|\{:\w+\}`)

	// compared matches a column, the operator and the beginning of the expression that
	// the column is compared with.
	compared = regexp.MustCompile("(?i)((?:[\\w\"`\\[\\]]+\\.)*[\\w\"`\\[\\]]+)\\s*\\)*\\s*(?:=|\\bin\\b|\\bi?like\\b)\\s*(?:\\(|lower|upper|trim|any|\\s)*(\\$\\d+|\\?|[:@]\\w+|\\{:\\w+\\})?")

	statement = regexp.MustCompile(`(?i)\b(select|update|delete)\b[\s\S]*\bwhere\b|\bjoin\b[\s\S]*\bon\b`)
	named     = regexp.MustCompile("(?i)\\b(?:from|join|update|into)\\s+(?:only\\s+)?((?:[\\w\"`]+\\.)*[\\w\"`]+)")
	alias     = regexp.MustCompile("(?i)^\\s+(?:as\\s+)?([\\w\"`]+)")
)

// Comparisons returns the conditions of a query, or a part of one, on columns that look
// like personal data.
func Comparisons(query string) (all []Comparison) {
	if len(query) > maxQuery {
		return nil
	}
	query = template.ReplaceAllString(comment.ReplaceAllString(query, " "), "x")
	var tables []string
	aliases := map[string]string{}
	for _, m := range named.FindAllStringSubmatchIndex(query, -1) {
		table := lastName(query[m[2]:m[3]])
		if table == "set" { // ON CONFLICT DO UPDATE SET
			continue
		}
		tables = append(tables, table)
		if a := alias.FindStringSubmatch(query[m[1]:]); a != nil {
			aliases[lastName(a[1])] = table
		}
	}
	arguments := argument.FindAllStringIndex(query, -1)
	sets := setList.FindAllStringIndex(query, -1)
	whole := statement.MatchString(query)
	for _, m := range compared.FindAllStringSubmatchIndex(query, -1) {
		if slices.ContainsFunc(sets, func(s []int) bool { return s[0] <= m[2] && m[2] < s[1] }) {
			continue // UPDATE … SET email = $1
		}
		name := query[m[2]:m[3]]
		column := lastName(name)
		kind, ok := NameOf(column)
		if !ok || m[4] < 0 && !whole { // without a placeholder, it may be any text
			continue
		}
		c := Comparison{Column: column, Kind: kind, Tables: tables, Argument: -1}
		if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
			table := lastName(name[:dot])
			c.Tables = []string{cmp.Or(aliases[table], table)}
		}
		if m[4] >= 0 {
			text := query[m[4]:m[5]]
			if n, err := strconv.Atoi(strings.TrimPrefix(text, "$")); err == nil && text[0] == '$' {
				c.Argument = n - 1
			} else if text == "?" {
				c.Argument = slices.IndexFunc(arguments, func(a []int) bool { return a[0] == m[4] })
			}
		}
		all = append(all, c)
	}
	return all
}

// maxQuery is the length of the longest text that is read as SQL, in bytes.
const maxQuery = 4 << 20

// lastName returns the last part of a name such as "auth"."users", without quotes and in
// lower case.
func lastName(name string) string {
	name = name[strings.LastIndexByte(name, '.')+1:]
	return strings.ToLower(strings.Trim(name, "\"`[]"))
}

var (
	create  = regexp.MustCompile("(?i)\\bcreate\\s+(?:unlogged\\s+|temp(?:orary)?\\s+)?table\\s+(?:if\\s+not\\s+exists\\s+)?([\\w.\"`\\[\\]]+)\\s*\\(")
	alter   = regexp.MustCompile("(?i)\\balter\\s+table\\s+(?:if\\s+exists\\s+)?(?:only\\s+)?([\\w.\"`\\[\\]]+)\\s+([^;]*)")
	add     = regexp.MustCompile(`(?i)^\s*add\s+(?:column\s+)?(?:if\s+not\s+exists\s+)?`)
	indexOn = regexp.MustCompile("(?i)\\bcreate\\s+(?:unique\\s+)?index\\b[^;()]*?\\bon\\s+(?:only\\s+)?([\\w.\"`\\[\\]]+)\\s*(?:using\\s+\\w+\\s*)?\\(")

	generated = regexp.MustCompile(`(?i)\bas\s*\(`)
	condition = regexp.MustCompile(`(?i)\b(?:check|default)\b`)
	unique    = regexp.MustCompile(`(?i)\bunique\b|\bprimary\s+key\b`)
	keyOf     = regexp.MustCompile(`(?i)^\s*(?:constraint\s+\S+\s+)?(?:unique|primary|index|key)\b[^(]*\(`)
	word      = regexp.MustCompile(`\w+`)
)

// Schema parses the statements of a text that create tables and indexes. It returns the
// columns that the database computes from columns or keys that look like personal data,
// and the columns that look like personal data and have an index.
func Schema(text string) (computed []Generated, indexed []Lookup) {
	if len(text) > maxQuery {
		return nil, nil
	}
	text = template.ReplaceAllString(comment.ReplaceAllString(text, " "), "x")
	column := func(table, definition string) {
		definition = strings.TrimSpace(definition)
		end := strings.IndexFunc(definition, unicode.IsSpace)
		if end < 0 {
			return
		}
		name, rest := lastName(definition[:end]), definition[end:]
		if m := generated.FindStringIndex(rest); m != nil && !condition.MatchString(rest[:m[0]]) {
			from := inParentheses(rest[m[1]:])
			if personal(name) || slices.ContainsFunc(word.FindAllString(from, -1), personal) {
				computed = append(computed, Generated{Table: table, Column: name, From: strings.Join(strings.Fields(from), " ")})
			}
		}
		if personal(name) && unique.MatchString(rest) {
			indexed = append(indexed, Lookup{Tables: []string{table}, Column: name})
		}
	}
	index := func(table, columns string) {
		for _, name := range word.FindAllString(columns, -1) {
			if personal(name) {
				indexed = append(indexed, Lookup{Tables: []string{table}, Column: strings.ToLower(name)})
			}
		}
	}
	for _, m := range create.FindAllStringSubmatchIndex(text, -1) {
		table := lastName(text[m[2]:m[3]])
		for _, part := range atCommas(inParentheses(text[m[1]:])) {
			if at := keyOf.FindStringIndex(part); at != nil {
				index(table, inParentheses(part[at[1]:]))
			} else {
				column(table, part) // or a constraint, whose first word is no name
			}
		}
	}
	for _, m := range alter.FindAllStringSubmatch(text, -1) {
		for _, part := range atCommas(m[2]) {
			at := add.FindStringIndex(part)
			if at == nil {
				continue
			}
			if k := keyOf.FindStringIndex(part[at[1]:]); k != nil {
				index(lastName(m[1]), inParentheses(part[at[1]+k[1]:]))
			} else {
				column(lastName(m[1]), part[at[1]:])
			}
		}
	}
	for _, m := range indexOn.FindAllStringSubmatchIndex(text, -1) {
		index(lastName(text[m[2]:m[3]]), inParentheses(text[m[1]:]))
	}
	return computed, indexed
}

func personal(name string) bool {
	_, ok := NameOf(name)
	return ok
}

// inParentheses returns the beginning of text up to the closing parenthesis. The opening
// one is before text.
func inParentheses(text string) string {
	if end := scan(text, func(depth int, c byte) bool { return depth < 0 }); end >= 0 {
		return text[:end]
	}
	return text
}

// atCommas splits a text at the commas outside of parentheses.
func atCommas(text string) (parts []string) {
	for {
		end := scan(text, func(depth int, c byte) bool { return depth == 0 && c == ',' })
		if end < 0 {
			return append(parts, text)
		}
		parts, text = append(parts, text[:end]), text[end+1:]
	}
}

// scan returns the position of the first byte outside of quotes where f returns true, -1
// if there is none.
func scan(text string, f func(depth int, c byte) bool) int {
	depth, quote := 0, byte(0)
	for i := range len(text) {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
			continue
		case c == '\'' || c == '"' || c == '`':
			quote = c
			continue
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
		if f(depth, text[i]) {
			return i
		}
	}
	return -1
}
