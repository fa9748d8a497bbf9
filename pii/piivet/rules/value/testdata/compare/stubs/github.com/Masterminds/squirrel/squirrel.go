package squirrel

type Eq map[string]any
