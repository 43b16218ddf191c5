import { get } from "../api/client";
import type { ModelChoice } from "../api/types";
import { useResource } from "../api/use";

/** What the workspace has that can be trained on, talked to or exported. */
export const useModels = (): ModelChoice[] => useResource<ModelChoice[]>("models", (signal) => get("models", {}, signal)).data ?? [];
