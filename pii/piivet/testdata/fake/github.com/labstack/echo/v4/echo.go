// Package echo is the little of github.com/labstack/echo that the tests use.
package echo

type (
	Context   interface{ JSON(code int, v any) error }
	HTTPError struct{ m any }
)

func (*HTTPError) Error() string                       { return "" }
func NewHTTPError(code int, message ...any) *HTTPError { return nil }
