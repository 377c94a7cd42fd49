// The process that holds the namespaces of a pod. It has no dependencies.
module plimsoll.dev/lab/pause

go 1.26.0
