import { get } from "../api/client";
import type { ModelChoice } from "../api/types";
import { useResource } from "../api/use";

/** Models, adapters and runs of the workspace. */
export const useModels = (): ModelChoice[] => useResource<ModelChoice[]>("models", (signal) => get("models", {}, signal)).data ?? [];
