// Package zap is the little of go.uber.org/zap that the tests use.
package zap

type (
	Field         struct{ s string }
	Logger        struct{}
	SugaredLogger struct{}
)

func String(key, value string) Field             { return Field{value} }
func (*Logger) Info(message string, f ...Field)  {}
func (*Logger) Sugar() *SugaredLogger            { return nil }
func (*SugaredLogger) Infow(m string, kv ...any) {}
