{{/* kubeProxy.validate fails with a remedy on what no schema can say. */}}
{{- define "kubeProxy.validate" -}}
{{- $v := .Values }}
{{- if not $v.mode }}
{{- fail "mode is required: set iptables, nftables or ipvs" }}
{{- end }}
{{- if not (and $v.apiServer.host $v.apiServer.port) }}
{{- fail "apiServer.host and apiServer.port are required: an address of the API server that is reachable without any Service, such as a load balancer's" }}
{{- end }}
{{- if not $v.image.tag }}
{{- fail "image.tag is required: the version of Kubernetes, such as v1.36.3" }}
{{- end }}
{{- if and (eq $v.mode "nftables") (regexMatch "^v?[0-9]+\\.[0-9]+\\.[0-9]+" $v.image.tag) }}
{{- if semverCompare "<1.31.0-0" (regexFind "^v?[0-9]+\\.[0-9]+\\.[0-9]+" $v.image.tag) }}
{{- fail (printf "mode nftables needs kube-proxy v1.31 or newer, and image.tag is %s: use iptables" $v.image.tag) }}
{{- end }}
{{- end }}
{{- $cidrs := splitList "," ($v.clusterCIDR | default "") }}
{{- if eq (len $cidrs) 2 }}
{{- if eq (contains ":" (index $cidrs 0)) (contains ":" (index $cidrs 1)) }}
{{- fail (printf "clusterCIDR %s has two ranges of one family: kube-proxy takes one IPv4 and one IPv6 range. With more ranges, set detectLocalMode to InterfaceNamePrefix or NodeCIDR" $v.clusterCIDR) }}
{{- end }}
{{- end }}
{{- $detect := $v.detectLocal | default dict }}
{{- if and (eq ($v.detectLocalMode | default "") "BridgeInterface") (not $detect.bridgeInterface) }}
{{- fail "detectLocalMode BridgeInterface needs detectLocal.bridgeInterface" }}
{{- end }}
{{- if and (eq ($v.detectLocalMode | default "") "InterfaceNamePrefix") (not $detect.interfaceNamePrefix) }}
{{- fail "detectLocalMode InterfaceNamePrefix needs detectLocal.interfaceNamePrefix" }}
{{- end }}
{{- if and (has "primary" ($v.nodePortAddresses | default list)) (gt (len $v.nodePortAddresses) 1) }}
{{- fail "nodePortAddresses is either the single word primary or a list of CIDRs, not both" }}
{{- end }}
{{- if include "kubeProxy.asKubeadm" . }}
{{- if ne (get (($v.found | default dict).config | default "" | fromYaml) "kind") "KubeProxyConfiguration" }}
{{- fail "layout kubeadm needs found.config, the config.conf of the kube-proxy that is there: set it, or leave layout empty" }}
{{- end }}
{{- end }}
{{- range $v.extraArgs }}
{{- if regexMatch "^--?(config|hostname-override|init-only|cleanup|write-config-to)(=|$)" . }}
{{- fail (printf "extraArgs may not hold %s: this chart sets it itself" .) }}
{{- end }}
{{- end }}
{{- end }}
